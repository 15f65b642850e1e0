"""
What comes up the link, as `contracts/*.schema.json` has it.

The types of `gateway/crates/wire` are the source. A test holds each model here against the schema
that is generated from them: fields, types, what is required and which words are allowed.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

USAGE_VERSION = 1
MAX_USAGE_BATCH = 1_000
MAX_LABELS = 8
MAX_BODY_BATCH = 64

# Rust counts in u64 and the databases in signed 64 bits; no real figure is beyond these.
Count = Annotated[int, Field(ge=0, le=2**63 - 1)]
Milliseconds = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]
Signed = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]
Id = Annotated[str, Field(min_length=1, max_length=64)]


class _Up(BaseModel):
    """A newer gateway may say more than this version understands; it must not say less."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore")


class Refusal(_Up):
    """A table that the gateway would not take."""

    revision: Count
    reason: str


class RoutingPoll(_Up):
    """What a gateway has in force, and asks for what comes next."""

    gateway_id: Id
    gateway_version: str
    after: Count
    budgets_after: Count = 0
    revocations_after: Count
    refused: Refusal | None = None
    wait_ms: Annotated[int, Field(ge=0)]


class UsageRecord(BaseModel):
    """One request, as it ended. Unknown fields are kept: the ledger stores the record whole."""

    model_config = ConfigDict(frozen=True, strict=True, extra="allow")

    schema_: Literal[1] = Field(alias="schema")
    id: Id
    gateway_id: Id
    sequence: Count
    time_ms: Milliseconds
    client_request_id: str | None = None
    trace_id: str | None = None
    team: str | None = None
    project: str | None = None
    application: str | None = None
    key_id: str | None = None
    user: str | None = None
    labels: dict[str, str] = Field(default_factory=dict, max_length=MAX_LABELS)
    environment: Literal["sandbox", "staging", "production"] | None = None
    operation: Literal[
        "chat",
        "completions",
        "embeddings",
        "predict",
        "models",
        "rerank",
        "transcriptions",
        "count_tokens",
    ]
    dialect: Literal["openai", "responses", "anthropic", "predict", "kserve_v2", "kserve_grpc"]
    stream: bool
    endpoint: str | None = None
    endpoint_id: str | None = None
    target_kind: Literal["deployment", "static", "provider"] | None = None
    target: str | None = None
    provider: str | None = None
    model: str | None = None
    model_version: Count | None = None
    model_digest: str | None = None
    replica: str | None = None
    region: str | None = None
    data_class: Literal["public", "internal", "confidential", "restricted"] | None = None
    decision: str | None = None
    saved_nano: Signed | None = None
    status: Annotated[int, Field(ge=0, le=65_535)] | None = None
    attempts: Count
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    cached_input_tokens: Count | None = None
    cache_write_tokens: Count | None = None
    reasoning_tokens: Count | None = None
    audio_input_tokens: Count | None = None
    audio_output_tokens: Count | None = None
    gpu_us: Count | None = None
    counted_by: Literal["upstream", "gateway", "none"]
    cost_nano: Count | None = None
    currency: str | None = None
    price_id: str | None = None
    cache: Literal["none", "hit", "miss"] = "none"
    latency_ms: Count | None = None
    first_byte_ms: Count | None = None
    queue_ms: Count | None = None
    cold_start_ms: Count | None = None
    overhead_us: Count | None = None
    ended: Literal[
        "complete", "client_gone", "upstream_cut", "timeout", "refused", "error", "gateway_lost"
    ]
    error_code: str | None = None
    count: Count


class UsageBatch(_Up):
    """Closed records in rising order of sequence."""

    gateway_id: Id
    records: Annotated[list[UsageRecord], Field(max_length=MAX_USAGE_BATCH)]


class LoggedBody(_Up):
    """One body, redacted, as far as it was kept."""

    content_type: str | None = None
    text: str
    bytes: Count
    truncated: bool = False


class LoggedBodies(_Up):
    """What one request sent and was answered."""

    request_id: Id
    time_ms: Milliseconds
    project: Id
    request: LoggedBody
    status: Annotated[int, Field(ge=0, le=65_535)]
    response: LoggedBody


class BodyBatch(_Up):
    """Bodies of projects that log them."""

    gateway_id: Id
    lost: Count = 0
    bodies: Annotated[list[LoggedBodies], Field(max_length=MAX_BODY_BATCH)]


class EndpointSignal(_Up):
    """Load of one endpoint since the last signal."""

    in_flight: Count
    queued: Count
    ended: Count
    latency_ms: float | None = None
    waiting_for_wake: bool = False


class ReplicaSignal(_Up):
    """State of one replica."""

    breaker: Literal["closed", "open", "half_open"]
    in_flight: Count
    latency_ms: float | None = None
    failures: Count
    last_error: str | None = None
    last_error_at_ms: Milliseconds | None = None
    ejected_until_ms: Milliseconds | None = None


# By bucket, as `contracts/durations.json` has them; a key of JSON is text.
Took = dict[Annotated[int, Field(strict=False, ge=0, lt=976)], Count]


class ShadowSignal(_Up):
    """What copies of calls met at a candidate."""

    calls: Count
    failed: Count
    compared: Count
    different: Count
    skipped: Count
    took: Took = Field(default_factory=dict)
    paths: dict[str, Count] = Field(default_factory=dict)


class TargetSignal(_Up):
    """State of one target, as a gateway meets it."""

    in_flight: Count
    queued: Count
    calls: Count = 0
    busy_ms: Count = 0
    tokens: Count = 0
    replicas: dict[str, ReplicaSignal] = Field(default_factory=dict)
    waiting_for_wake: bool = False
    failed: Count = 0
    refused: Count = 0
    took: Took = Field(default_factory=dict)
    shadow: ShadowSignal | None = None


class LimitSignal(_Up):
    """Where one limit stands at a gateway."""

    in_flight: Count
    requests_left: Count | None = None
    tokens_left: Count | None = None
    refused: Count


class BudgetSignal(_Up):
    """Where one budget stands at a gateway, beyond what the ledger knows."""

    reserved: Count
    unshipped: Count
    refused: Count


class Signals(_Up):
    """What one gateway sees at one moment."""

    gateway_id: Id
    time_ms: Milliseconds
    endpoints: dict[str, EndpointSignal]
    targets: dict[str, TargetSignal] = Field(default_factory=dict)
    limits: dict[str, LimitSignal] = Field(default_factory=dict)
    budgets: dict[str, BudgetSignal] = Field(default_factory=dict)
