"""Limits on the wire."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field, model_validator

from towpath_server.core.signals import LimitReport
from towpath_server.domains.limits.models import PARTS, RATES, Limit, Rate, Rules, SubjectDraft
from towpath_server.web.schemas import In, Out, Ref, Resource, at

_MAX = 1_000_000_000_000  # beyond any rate; a larger number is a slip of the hand

Count = Annotated[int, Field(strict=True, ge=1, le=_MAX)]


class RateIn(In):
    """A rate with its burst: in any window of length t at most `burst + limit · t` pass."""

    limit: Count
    burst: Count | None = Field(
        None,
        description="Default: 0.1 s worth of a rate per second, 5 s worth of one per minute, at "
        "least 1.",
    )


RateOrNumber = Annotated[
    RateIn | Count, Field(description="A number, or `{limit, burst}`.", examples=[600])
]


class _Rules(In):
    requests_per_second: RateOrNumber | None = None
    requests_per_minute: RateOrNumber | None = None
    tokens_per_minute: RateOrNumber | None = None
    concurrency: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(
        None, description="Calls in flight, those that wait in a queue included."
    )


class SubjectIn(In):
    """One or two parts; calls that match all of them are counted together."""

    key: Ref | None = Field(None, description="Id of a key or service account.")
    project: Ref | None = Field(None, description="`team/project`, or the id.")
    team: Ref | None = Field(None, description="Name or id.")
    endpoint: Ref | None = Field(None, description="Name or id.")
    environment: Ref | None = Field(
        None, description="Of the endpoint, where its name exists in several."
    )

    def subject(self) -> SubjectDraft:
        """Read it."""
        parts = {part: getattr(self, part) for part in PARTS}
        return SubjectDraft(**parts, environment=self.environment)

    @model_validator(mode="after")
    def _environment_of_what(self) -> "SubjectIn":
        if self.environment is not None and self.endpoint is None:
            raise ValueError("`environment` is that of an `endpoint`, and none is named")
        return self


class LimitCreate(SubjectIn, _Rules):
    """A new limit of one or two of key, project, team and endpoint."""

    def rules(self) -> Rules:
        """Read what is allowed."""
        return Rules(
            **{name: _rate(getattr(self, name)) for name in RATES}, concurrency=self.concurrency
        )


class LimitUpdate(_Rules):
    """What may change; what is absent stays, null takes it away. The subject stays."""

    def changes(self) -> dict[str, Any]:
        """Return what was sent."""
        return {
            name: value if name == "concurrency" else _rate(value)
            for name, value in super().changes().items()
        }


class RateOut(Out):
    """A rate: in any window of length t at most `burst + limit · t` pass."""

    limit: int
    burst: int | None = Field(description="Null: the gateway's default.")


class LimitOut(Resource):
    """How much a subject may ask for at a time."""

    label: str = Field(description="The subject in words, as it is called now.")
    key: str | None = Field(description="Id of the key.")
    project: str | None = Field(description="Id of the project.")
    team: str | None = Field(description="Id of the team.")
    endpoint: str | None = Field(description="Id of the endpoint.")
    set_by: str = Field(description="`platform` or `team`; a team cannot change the former.")
    requests_per_second: RateOut | None
    requests_per_minute: RateOut | None
    tokens_per_minute: RateOut | None
    concurrency: int | None

    @classmethod
    def of(cls, limit: Limit) -> "LimitOut":
        """Write a limit."""
        rules = limit.rules
        return cls(
            id=limit.id,
            revision=limit.revision,
            created_at=at(limit.created_at_ms),
            updated_at=at(limit.updated_at_ms),
            label=limit.label,
            **vars(limit.subject),
            set_by=limit.set_by,
            requests_per_second=_rate_out(rules.requests_per_second),
            requests_per_minute=_rate_out(rules.requests_per_minute),
            tokens_per_minute=_rate_out(rules.tokens_per_minute),
            concurrency=rules.concurrency,
        )


class LimitAtGateway(Out):
    """Where a limit stands at one gateway, as it said last."""

    gateway: str
    reported_at: datetime
    in_flight: int
    requests_left: int | None = Field(description="Requests that would pass at once.")
    tokens_left: int | None = Field(description="Tokens that would pass at once.")
    refused: int = Field(description="Calls refused since the control plane began to listen.")


class LimitStateOut(Out):
    """Where a limit stands: the sum over the gateways, each of which keeps to its part."""

    limit: str
    label: str
    in_flight: int
    requests_left: int | None
    tokens_left: int | None
    refused: int
    reported_at: datetime | None = Field(
        description="When the oldest of these reports was made; null: it was not used yet, as far "
        "as this control plane knows."
    )
    gateways: list[LimitAtGateway]

    @classmethod
    def of(cls, limit: Limit, reports: Sequence[LimitReport]) -> "LimitStateOut":
        """Sum up what the gateways said."""
        oldest = min((report.at_ms for report in reports), default=None)
        return cls(
            limit=limit.id,
            label=limit.label,
            in_flight=sum(report.in_flight for report in reports),
            requests_left=_sum([report.requests_left for report in reports]),
            tokens_left=_sum([report.tokens_left for report in reports]),
            refused=sum(report.refused for report in reports),
            reported_at=None if oldest is None else at(oldest),
            gateways=[
                LimitAtGateway(
                    gateway=report.gateway,
                    reported_at=at(report.at_ms),
                    in_flight=report.in_flight,
                    requests_left=report.requests_left,
                    tokens_left=report.tokens_left,
                    refused=report.refused,
                )
                for report in reports
            ],
        )


def _rate(value: RateIn | int | None) -> Rate | None:
    if value is None:
        return None
    return Rate(value) if isinstance(value, int) else Rate(value.limit, value.burst)


def _rate_out(rate: Rate | None) -> RateOut | None:
    return RateOut(limit=rate.limit, burst=rate.burst) if rate else None


def _sum(values: Sequence[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
