"""Usage on the wire: the record of a request, and the lines of a report."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from towpath_server.core.clock import from_ms
from towpath_server.domains.usage.models import Dimension, Ended, Line, Request
from towpath_server.domains.usage.service import Period
from towpath_server.web.schemas import Out


class RequestOut(Out):
    """A usage record, with the names of what it mentions. What could not be known is null."""

    id: str = Field(description="The `x-request-id` of the answer.")
    time: datetime
    schema_version: int = Field(description="Version of the record's format.")
    gateway_id: str
    sequence: int
    client_request_id: str | None = None
    trace_id: str | None = None
    team: str | None = Field(None, description="Id of the team.")
    team_name: str | None = None
    project: str | None = Field(None, description="Id of the project.")
    project_name: str | None = Field(None, description="`team/project`.")
    application: str | None = Field(None, description="Id of the application.")
    application_name: str | None = None
    key_id: str | None = None
    key_name: str | None = None
    user: str | None = Field(None, description="Pseudonym of the request's `user`.")
    labels: dict[str, str] = Field(default_factory=dict)
    environment: str | None = None
    operation: str
    dialect: str
    stream: bool
    endpoint: str | None = Field(None, description="Name that the caller asked for.")
    endpoint_id: str | None = None
    target_kind: str | None = None
    target: str | None = None
    provider: str | None = None
    model: str | None = None
    model_version: int | None = None
    model_digest: str | None = None
    replica: str | None = None
    region: str | None = None
    data_class: str | None = None
    decision: str | None = Field(
        None, description="Why this target was chosen, where more than weights decided."
    )
    saved_nano: int | None = Field(
        None, description="What the strongest level of a tiered endpoint would have cost more."
    )
    status: int | None = None
    attempts: int
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_input_tokens: int | None = Field(
        None, description="The part of the input that the upstream read from its cache."
    )
    cache_write_tokens: int | None = Field(
        None, description="The part of the input that the upstream put into its cache."
    )
    reasoning_tokens: int | None = Field(
        None, description="The part of the output that is thought."
    )
    audio_input_tokens: int | None = None
    audio_output_tokens: int | None = None
    gpu_us: int | None = Field(
        None, description="Time of one GPU, in microseconds; calls in flight together share it."
    )
    counted_by: Literal["upstream", "gateway", "none"]
    cost_nano: int | None = Field(None, description="Nano-units of `currency`.")
    currency: str | None = None
    price_id: str | None = Field(None, description="The price that was paid; `GET /prices/{id}`.")
    cache: str = Field("none", description="`hit`: the gateway's own cache answered.")
    latency_ms: int | None = None
    first_byte_ms: int | None = None
    queue_ms: int | None = None
    cold_start_ms: int | None = None
    overhead_us: int | None = None
    ended: Ended
    error_code: str | None = None
    count: int = Field(description="Requests this line stands for; above 1 for merged refusals.")

    @classmethod
    def of(cls, request: Request) -> "RequestOut":
        """Write a request; fields of a newer gateway that this version does not know stay out."""
        known = {key: value for key, value in request.document.items() if key in cls.model_fields}
        names = request.names
        return cls.model_validate(
            known
            | {
                "time": from_ms(request.document["time_ms"]),
                "schema_version": request.document["schema"],
                "team_name": names.get(request.team or ""),
                "project_name": names.get(request.project or ""),
                "application_name": names.get(request.application or ""),
                "key_name": names.get(request.key_id or ""),
            }
        )


class UsageLineOut(Out):
    """Sums of one group. Only the fields that were grouped by are set."""

    team: str | None = None
    team_name: str | None = None
    project: str | None = None
    project_name: str | None = None
    application: str | None = None
    application_name: str | None = None
    key: str | None = None
    key_name: str | None = None
    environment: str | None = None
    endpoint: str | None = None
    operation: str | None = None
    model: str | None = None
    provider: str | None = None
    day: datetime | None = None
    hour: datetime | None = None
    currency: str | None = Field(None, description="Null where nothing had a price.")
    requests: int
    errors: int = Field(description="Requests that failed; refusals are apart.")
    refused: int
    uncounted: int = Field(description="Requests that were answered, with tokens unknown.")
    input_tokens: int
    output_tokens: int
    cached_input_tokens: int
    cached_share: float | None = Field(
        description="The part of the input that upstreams read from their caches."
    )
    cache_write_tokens: int
    reasoning_tokens: int
    audio_input_tokens: int
    audio_output_tokens: int
    gpu_us: int = Field(description="Microseconds of one GPU.")
    cache_hits: int = Field(description="Requests that the gateway's own cache answered.")
    cost_nano: int
    saved_nano: int = Field(
        description="What tiers saved, against the strongest level of each tiered endpoint."
    )

    @classmethod
    def of(cls, line: Line) -> "UsageLineOut":
        """Write a line of a report."""
        fields: dict[str, Any] = {"currency": line.currency}
        for dimension, value in line.group.items():
            fields[dimension] = from_ms(value) if isinstance(value, int) else value
            if dimension in _NAMED and isinstance(value, str):
                fields[f"{dimension}_name"] = line.names.get(value)
        return cls.model_validate(fields | _measures(line))


class UsageReportOut(Out):
    """A report over whole hours."""

    since: datetime
    until: datetime
    group_by: list[Dimension]
    items: list[UsageLineOut]

    @classmethod
    def of(
        cls, period: Period, group_by: Sequence[Dimension], lines: Sequence[Line]
    ) -> "UsageReportOut":
        """Write a report; the period is the one that was really summed."""
        return cls(
            since=from_ms(period.since_ms),
            until=from_ms(period.until_ms),
            group_by=list(group_by),
            items=[UsageLineOut.of(line) for line in lines],
        )


_NAMED = {Dimension.TEAM, Dimension.PROJECT, Dimension.APPLICATION, Dimension.KEY}


def _measures(line: Line) -> dict[str, Any]:
    share = line.measures.cached_share
    return {
        **asdict(line.measures),
        "cached_share": round(share, 4) if share is not None else None,
    }
