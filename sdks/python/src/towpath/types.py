"""
What the API answers, by name.

Optional means that the field may be absent. Fields that a platform adds later are readable at once.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, ClassVar, Literal

from towpath.model import Model

Environment = Literal["sandbox", "staging", "production"]


class TokenUsage(Model):
    """Tokens of one call."""

    prompt_tokens: int | None
    completion_tokens: int | None
    total_tokens: int | None


class FunctionCall(Model):
    """Which function a model wants called, with arguments as JSON text."""

    name: str
    arguments: str


class ToolCall(Model):
    """One wish of a model to use a tool."""

    id: str
    type: str
    function: FunctionCall | None


class ChatMessage(Model):
    """What a model said."""

    role: str | None
    content: str | None
    tool_calls: list[ToolCall] | None


class ChatChoice(Model):
    """One of the answers asked for."""

    index: int
    message: ChatMessage
    finish_reason: str | None
    logprobs: Any | None


class ChatCompletion(Model):
    """The answer to a conversation."""

    id: str
    created: int
    model: str
    choices: list[ChatChoice]
    usage: TokenUsage | None


class ChunkChoice(Model):
    """A piece of one answer."""

    index: int
    delta: ChatMessage
    finish_reason: str | None


class ChatCompletionChunk(Model):
    """One event of a streamed answer."""

    id: str
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: TokenUsage | None


class CompletionChoice(Model):
    """A continuation of the prompt."""

    index: int
    text: str
    finish_reason: str | None


class Completion(Model):
    """The answer to a bare prompt; also one event of its stream."""

    id: str
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: TokenUsage | None


class Embedding(Model):
    """One vector; text in base64 where that was asked for."""

    index: int
    embedding: Any


class EmbeddingList(Model):
    """Vectors in the order of the inputs."""

    model: str
    data: list[Embedding]
    usage: TokenUsage | None


class ServedModel(Model):
    """Which model answered."""

    name: str
    version: int | None
    digest: str | None


class PredictUsage(Model):
    """What a prediction used."""

    input_tokens: int | None


class Prediction(Model):
    """Outputs in the order of the inputs, each an object by output name."""

    outputs: list[dict[str, Any]]
    model: ServedModel
    usage: PredictUsage | None
    request_id: str


class ModelPrice(Model):
    """Price in nano-units of `currency` per million tokens."""

    currency: str
    input_nano_per_million: int
    output_nano_per_million: int


class CallableModel(Model):
    """A name that this key may call."""

    id: str
    created: int | None
    owned_by: str | None
    context_length: int | None
    modalities: list[str] | None
    price: ModelPrice | None


class ModelList(Model):
    """All names that this key may call."""

    data: list[CallableModel]

    def __iter__(self) -> Iterator[CallableModel]:
        return iter(self.data)

    def __len__(self) -> int:
        return len(self.data)


class Resource(Model):
    """What every resource of the control plane has."""

    id: str
    revision: int
    created_at: datetime
    updated_at: datetime


class Condition(Model):
    """One step of a resource's life: what is so, since when, and what to do when it is bad news."""

    type: str
    status: str
    reason: str | None
    message: str | None
    fix: str | None
    changed_at: datetime | None


class Team(Resource):
    """Owns projects."""

    name: str


class Project(Resource):
    """Owns applications, keys, deployments and endpoints."""

    name: str
    team: str
    path: str


class Application(Resource):
    """A program of a project, with its owner and use case."""

    name: str
    project: str
    owner: str | None
    contact: str | None
    use_case: str | None


class User(Resource):
    """A person."""

    name: str
    email: str | None
    platform_role: str | None


class Token(Resource):
    """A user's token; `token` is there once, when it is made."""

    _secrets: ClassVar[frozenset[str]] = frozenset({"token"})

    user: str
    name: str
    hint: str
    token: str | None
    expires_at: datetime | None


class ServiceAccount(Resource):
    """A program that acts for a project; `token` is there once, when it is made."""

    _secrets: ClassVar[frozenset[str]] = frozenset({"token"})

    team: str
    project: str
    environment: Environment
    name: str
    hint: str
    token: str | None
    scopes: list[str]
    expires_at: datetime | None
    last_used_at: datetime | None


class Member(Resource):
    """A user's role in a team."""

    team: str
    user: str
    role: str


class Key(Resource):
    """An API key; `key` is there once, when it is made or rotated."""

    _secrets: ClassVar[frozenset[str]] = frozenset({"key"})

    team: str
    project: str
    environment: Environment
    name: str
    key: str | None
    hint: str
    application: str | None
    scopes: list[str]
    endpoints: list[str] | None
    operations: list[str] | None
    sources: list[str] | None
    max_data_class: str | None
    expires_at: datetime | None
    last_used_at: datetime | None
    rotated_from: str | None


class Provider(Resource):
    """A vendor's API outside; its credential is never shown."""

    name: str
    dialect: str
    base_url: str
    has_credential: bool
    header: str | None
    region: str | None
    max_data_class: str
    models: list[dict[str, Any]]


class Target(Model):
    """What stands behind an endpoint, and whether it can answer."""

    id: str
    kind: Literal["deployment", "static", "provider"]
    name: str
    weight: int | None
    model: str | None
    dialect: str | None
    url: str | None
    operations: list[str]
    region: str | None
    max_data_class: str
    price: dict[str, str] | None
    context_length: int | None
    ready: bool
    note: str | None


class Access(Model):
    """Who may call."""

    visibility: Literal["project", "team", "organization"]
    allow: list[dict[str, str]]
    callers: list[str]


class EndpointStatus(Model):
    """Whether an endpoint answers now, and if not, why."""

    ready: bool
    reason: str | None


class Endpoint(Resource):
    """A name that callers use, in one environment."""

    name: str
    environment: Environment
    project: str | None
    deployment: str | None
    access: Access
    timeouts: dict[str, int]
    targets: list[Target]
    fallback: list[Target]
    status: EndpointStatus


class DeployedModel(Model):
    """The registry version behind a deployment."""

    name: str
    version: int
    digest: str


class DeployedRuntime(Model):
    """What serves a deployment."""

    name: str
    version: str
    args: list[str]


class Replica(Model):
    """One model server of a deployment."""

    id: str
    ordinal: int
    revision: int
    state: str
    restarts: int
    reason: str | None
    message: str | None
    retiring: bool


class Deployment(Resource):
    """A model version, served, and how far that is; `phase` sums `conditions` up."""

    name: str
    environment: Environment
    project: str
    endpoint: str
    phase: str
    conditions: list[Condition]
    serving_revision: int | None
    model: DeployedModel
    runtime: DeployedRuntime
    operations: list[str]
    replicas: list[Replica]
    replicas_wanted: int
    replicas_ready: int
    price: dict[str, str] | None
    manifest: dict[str, Any]
    first_ready_at: datetime | None


class DeploymentCheck(Model):
    """What a manifest would come to; nothing was changed."""

    name: str
    environment: Environment
    project: str
    deployment: str | None
    message: str
    model: DeployedModel
    runtime: DeployedRuntime
    operations: list[str]
    replicas_wanted: int
    price: dict[str, str] | None


class ReplicaLog(Model):
    """The last lines that one model server wrote."""

    replica: str
    ordinal: int
    revision: int
    lines: list[str]


class DeploymentLogs(Model):
    """The last lines that the model servers of a deployment wrote."""

    items: list[ReplicaLog]


class RegisteredModel(Resource):
    """A name in the registry."""

    name: str
    team: str
    project: str
    visibility: str
    description: str | None


class ModelVersion(Resource):
    """An immutable version of a registered model."""

    model: str
    version: int
    uri: str
    digest: str
    format: str
    size: int
    files: list[dict[str, Any]]
    signature: dict[str, Any] | None
    card: str | None
    licence: str | None
    lineage: dict[str, Any]


class Runtime(Model):
    """How a format is served."""

    name: str
    version: str
    formats: list[str]
    dialect: str
    operations: list[str]
    request_fields: dict[str, Any]
    args: dict[str, Any]


class Node(Resource):
    """A machine that models run on."""

    name: str
    cores: int
    threads: int
    memory_bytes: int
    seen_at: datetime
    alive: bool


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
    target_kind: str | None
    target: str | None
    provider: str | None
    model: str | None
    model_version: int | None
    model_digest: str | None
    replica: str | None
    region: str | None
    data_class: str | None
    status: int | None
    attempts: int
    input_tokens: int | None
    output_tokens: int | None
    cached_input_tokens: int | None
    reasoning_tokens: int | None
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
    cost_nano: int


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


class Health(Model):
    """Whether the address can take requests, with the reasons when it cannot."""

    ready: bool
