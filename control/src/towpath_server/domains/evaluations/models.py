"""What a suite found out about a version, and what a manifest asks of it."""

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass

_Z = 1.959964  # two-sided 95 %


class Verdict(enum.StrEnum):
    """What a run itself concluded."""

    PASS = "pass"  # noqa: S105 (no password)
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True)
class Metric:
    """One number of a run, with the interval it lies in and the items it was taken over."""

    value: float
    low: float | None = None
    high: float | None = None
    n: int | None = None

    @property
    def interval(self) -> tuple[float, float] | None:
        """
        Return the interval as recorded.

        A value from 0 to 1 that has only `n` is taken as a share of `n` items (Wilson, 95 %).
        """
        if self.low is not None and self.high is not None:
            return self.low, self.high
        if self.n is None or not 0 <= self.value <= 1:
            return None
        squared = _Z * _Z / self.n
        middle = (self.value + squared / 2) / (1 + squared)
        half = _Z / (1 + squared) * math.sqrt(self._variance() + squared / (4 * self.n))
        return middle - half, middle + half

    def _variance(self) -> float:
        return self.value * (1 - self.value) / (self.n or 1)

    def words(self) -> str:
        """Write it: `0.83 (95 %: 0.80 to 0.86, 600 items)`."""
        more = []
        if self.interval is not None:
            low, high = self.interval
            more.append(f"95 %: {low:.4g} to {high:.4g}")
        if self.n is not None:
            more.append(f"{self.n} items")
        return f"{self.value:.4g}" + (f" ({', '.join(more)})" if more else "")


@dataclass(frozen=True)
class Draft:
    """A result as it is handed in."""

    model: str
    version: int
    suite: str
    suite_version: str
    metrics: Mapping[str, Metric]
    source: str
    digest: str | None = None
    runtime: str | None = None
    verdict: Verdict | None = None


@dataclass(frozen=True)
class Evaluation:
    """What one run of a suite found out about one content; never changed."""

    id: str
    revision: int
    created_at_ms: int
    updated_at_ms: int
    team_id: str
    project_id: str
    model: str
    version: int
    digest: str
    suite: str
    suite_version: str
    runtime: str | None
    """What served it; none: whatever serves it, the result is the same."""
    metrics: Mapping[str, Metric]
    verdict: Verdict | None
    source: str
    """Which run it was, in words or as a link."""
    created_by: str


@dataclass(frozen=True)
class Gate:
    """What a manifest asks a suite to have found out before a version takes traffic."""

    suite: str
    version: str
    metric: str | None = None
    """None: the run's own verdict counts."""
    minimum: float | None = None
    maximum: float | None = None
    baseline: str | None = None
    """Environment whose version of the same name it is compared with."""
    max_regression: float = 0.0

    @property
    def name(self) -> str:
        """What it is called in conditions."""
        return f"{self.suite}@{self.version}" + (f" {self.metric}" if self.metric else "")

    @property
    def lower_is_better(self) -> bool:
        """Whether a rise of the metric is a regression."""
        return self.maximum is not None and self.minimum is None


@dataclass(frozen=True)
class Subject:
    """What is judged: a content on a runtime, and what it would take the place of."""

    model: str
    version: int
    digest: str
    runtime: str
    baselines: Mapping[str, str]
    """Digests that serve under the same name, by environment."""


class Outcome(enum.StrEnum):
    """What became of one thing that was asked for."""

    PASSED = "passed"
    FAILED = "failed"
    MISSING = "missing"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True)
class Judgement:
    """What a gate came to."""

    name: str
    outcome: Outcome
    message: str
    fix: str | None = None
