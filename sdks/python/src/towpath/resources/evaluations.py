"""What suites found out about versions: recorded once, read by gates."""

from collections.abc import Mapping
from typing import Any

from towpath.paging import AsyncPages
from towpath.resources.noun import AsyncNoun
from towpath.types import Evaluation


class AsyncEvaluations(AsyncNoun[Evaluation]):
    """Results of suites, by version and digest."""

    _path = "/api/v1/evaluations"
    _kind = Evaluation

    async def record(
        self,
        *,
        model: str,
        version: int,
        suite: str,
        suite_version: str,
        source: str,
        metrics: Mapping[str, Mapping[str, Any]] | None = None,
        **more: Any,
    ) -> Evaluation:
        """
        Record what a run found out; gates that wait for it look again at once.

        Args:
            source: Which run it was, in words or as a link.
            metrics: By name: `{"value", "low", "high", "n"}`.
            more: `digest`, `runtime` and `verdict`.
        """
        body = {
            "model": model,
            "version": version,
            "suite": suite,
            "suite_version": suite_version,
            "source": source,
            "metrics": {name: dict(metric) for name, metric in (metrics or {}).items()},
            **more,
        }
        return await self._create(body)

    def list(self, **query: Any) -> AsyncPages[Evaluation]:
        """List results, oldest first; filters: `model`, `suite`."""
        return self._listed(query)
