"""Evaluations on the wire."""

from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from towpath_server.domains.evaluations.models import Draft, Evaluation, Metric, Verdict
from towpath_server.web.schemas import In, Out, Ref, Resource, Text, at

Number = Annotated[float, Field(allow_inf_nan=False)]
MetricName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.@/-]{0,62}$")]
SuiteName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
SuiteVersion = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$")]


class MetricIn(In):
    """A number, with the interval it lies in (95 %) and the items it was taken over."""

    value: Number
    low: Number | None = None
    high: Number | None = None
    n: Annotated[int, Field(ge=1, le=1_000_000_000)] | None = None

    @model_validator(mode="after")
    def _around(self) -> "MetricIn":
        if (self.low is None) != (self.high is None):
            raise ValueError("`low` and `high` stand together")
        low, high = self.low, self.high
        if low is not None and high is not None and not low <= self.value <= high:
            raise ValueError("`value` is not between `low` and `high`")
        return self


class EvaluationCreate(In):
    """What a run of a suite found out about a version."""

    model: Ref = Field(description="Name of the model.")
    version: Annotated[int, Field(ge=1, le=1_000_000_000)]
    digest: Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")] | None = Field(
        None, description="Of what was evaluated; refused when the version has another."
    )
    suite: SuiteName
    suite_version: SuiteVersion
    runtime: Annotated[str, StringConstraints(min_length=1, max_length=63)] | None = Field(
        None, description="What served it; absent: the result holds on any runtime."
    )
    metrics: dict[MetricName, MetricIn] = Field(default_factory=dict, max_length=200)
    verdict: Verdict | None = Field(None, description="What the run itself concluded.")
    source: Text = Field(description="Which run it was, in words or as a link.")

    @model_validator(mode="after")
    def _something(self) -> "EvaluationCreate":
        if not self.metrics and self.verdict is None:
            raise ValueError("one of `metrics` and `verdict` is needed")
        return self

    def draft(self) -> Draft:
        """Read it."""
        return Draft(
            model=self.model,
            version=self.version,
            digest=self.digest,
            suite=self.suite,
            suite_version=self.suite_version,
            runtime=self.runtime,
            metrics={name: Metric(**one.model_dump()) for name, one in self.metrics.items()},
            verdict=self.verdict,
            source=self.source,
        )


class MetricOut(Out):
    """A number, with the interval it lies in and the items it was taken over."""

    value: float
    low: float | None
    high: float | None
    n: int | None


class EvaluationOut(Resource):
    """What a run of a suite found out about a version."""

    model: str
    version: int
    digest: str
    suite: str
    suite_version: str
    runtime: str | None
    metrics: dict[str, MetricOut]
    verdict: Verdict | None
    source: str
    created_by: str

    @classmethod
    def of(cls, found: Evaluation) -> "EvaluationOut":
        """Write a result."""
        return cls(
            id=found.id,
            revision=found.revision,
            created_at=at(found.created_at_ms),
            updated_at=at(found.updated_at_ms),
            model=found.model,
            version=found.version,
            digest=found.digest,
            suite=found.suite,
            suite_version=found.suite_version,
            runtime=found.runtime,
            metrics={name: MetricOut(**vars(metric)) for name, metric in found.metrics.items()},
            verdict=found.verdict,
            source=found.source,
            created_by=found.created_by,
        )
