"""What happened: requests, their sums, changes."""

from datetime import datetime
from typing import Any, Literal

from towpath.model import Model


class RequestRecord(Model):
    """One request: what it was, used and cost, how it ended; `None` is what nobody knows."""

    id: str
    time: datetime
    schema_version: int
    gateway_id: str
    sequence: int
    client_request_id: str | None
    trace_id: str | None
    team: str | None
    team_name: str | None
    project: str | None
    project_name: str | None
    application: str | None
    application_name: str | None
    key_id: str | None
    key_name: str | None
    user: str | None
    labels: dict[str, str] | None
    environment: str | None
    operation: str
    dialect: str
    stream: bool
    endpoint: str | None
    endpoint_id: str | None
    target_kind: str | None
    target: str | None
    provider: str | None
    model: str | None
    model_version: int | None
    model_digest: str | None
    replica: str | None
    region: str | None
    data_class: str | None
    decision: str | None
    saved_nano: int | None
    status: int | None
    attempts: int
    input_tokens: int | None
    output_tokens: int | None
    cached_input_tokens: int | None
    cache_write_tokens: int | None
    reasoning_tokens: int | None
    audio_input_tokens: int | None
    audio_output_tokens: int | None
    gpu_us: int | None
    counted_by: Literal["upstream", "gateway", "none"]
    cost_nano: int | None
    currency: str | None
    price_id: str | None
    cache: str | None
    latency_ms: int | None
    first_byte_ms: int | None
    queue_ms: int | None
    cold_start_ms: int | None
    overhead_us: int | None
    ended: str
    error_code: str | None
    count: int


class LoggedBody(Model):
    """One body, redacted by its project's rules; `truncated` when `text` ends before it did."""

    content_type: str | None
    text: str
    bytes: int
    truncated: bool


class RequestBodies(Model):
    """What one request sent and was answered."""

    request_id: str
    time: datetime
    project: str
    status: int
    request: LoggedBody
    response: LoggedBody


class UsageLine(Model):
    """Sums of one group; the fields that were grouped by are set."""

    team: str | None
    team_name: str | None
    project: str | None
    project_name: str | None
    application: str | None
    application_name: str | None
    key: str | None
    key_name: str | None
    environment: str | None
    endpoint: str | None
    operation: str | None
    model: str | None
    provider: str | None
    day: datetime | None
    hour: datetime | None
    currency: str | None
    requests: int
    errors: int
    refused: int
    uncounted: int
    input_tokens: int
    output_tokens: int
    cached_input_tokens: int
    cached_share: float | None
    cache_write_tokens: int | None
    reasoning_tokens: int | None
    audio_input_tokens: int | None
    audio_output_tokens: int | None
    gpu_us: int | None
    cache_hits: int | None
    cost_nano: int
    saved_nano: int | None


class UsageReport(Model):
    """Sums of requests, tokens and cost over whole hours, by what was asked for."""

    since: datetime
    until: datetime
    group_by: list[str]
    items: list[UsageLine]


class Actor(Model):
    """Who acted."""

    kind: str
    id: str
    name: str


class AuditEvent(Model):
    """One attempt to change something: who, what, when, and whether it was let."""

    id: str
    time: datetime
    principal: Actor
    action: str
    noun: str
    resource_id: str | None
    team: str | None
    outcome: str
    code: str | None
    detail: str | None
    request_id: str | None
    changes: dict[str, Any] | None
