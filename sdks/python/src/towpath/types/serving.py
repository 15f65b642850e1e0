"""What is served, where, and on what."""

from datetime import datetime
from typing import Any, Literal

from towpath.model import Model
from towpath.types.environments import Origin
from towpath.types.policies import ManifestFinding
from towpath.types.resource import Condition, Environment, Resource


class Price(Model):
    """
    What a call costs from a time on, in decimal strings; it never changes, and records name its id.

    Its beginning is `price["from"]`, absent where it always held.
    """

    id: str
    input_per_million: str | None
    output_per_million: str | None
    cached_input_per_million: str | None
    cache_write_per_million: str | None
    reasoning_per_million: str | None
    audio_input_per_million: str | None
    audio_output_per_million: str | None
    per_request: str | None
    gpu_second: str | None
    owner: str | None
    model: str | None
    created_at: datetime | None
    retired_at: datetime | None


class ProviderModel(Model):
    """A model that a provider offers."""

    name: str
    prices: list[Price]
    context_length: int | None
    signature: dict[str, Any] | None


class Upstream(Model):
    """How an upstream is called."""

    max_concurrency: int | None
    queue: dict[str, Any] | None
    probe: dict[str, str] | None
    quirks: list[str] | None
    query: str | None
    headers: dict[str, str] | None
    ca_pem: str | None


class Provider(Resource, Upstream):
    """A vendor's API outside; its credential is never shown."""

    name: str
    vendor: str | None
    dialect: str
    base_url: str
    operator: Literal["internal", "external"]
    operations: list[str]
    has_credential: bool
    header: str | None
    region: str | None
    max_data_class: str
    models: list[ProviderModel]


class Vendor(Model):
    """A row of the catalogue, from which a provider is made."""

    name: str
    title: str
    docs: str
    base_url: str
    dialect: str
    spoken: bool
    operations: list[str]
    operator: str
    credential: Literal["required", "optional", "none"]
    header: str | None
    region: str | None
    max_data_class: str
    quirks: list[str]
    headers: dict[str, str]
    query: str | None
    probe: str | None
    metrics: str | None
    note: str | None


class Target(Upstream):
    """What stands behind an endpoint, and whether it can answer; in a chain also an endpoint."""

    id: str
    kind: Literal["deployment", "static", "provider", "endpoint"]
    name: str
    weight: int | None
    model: str | None
    dialect: str | None
    url: str | None
    operations: list[str]
    region: str | None
    max_data_class: str | None
    prices: list[Price]
    context_length: int | None
    gpus: int | None
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
    ejected: list[str] | None


class GatewayWord(Model):
    """When a gateway spoke last."""

    id: str
    at: datetime
    age_ms: int


class ReplicaHealth(Model):
    """One replica, as one gateway meets it."""

    id: str
    gateway: str
    breaker: Literal["closed", "open", "half_open"]
    in_flight: int
    latency_ms: float | None
    failures: int
    last_error: str | None
    last_error_at: datetime | None
    ejected_until: datetime | None


class TargetHealth(Model):
    """One target, as all gateways together meet it; `replicas` are for its own team."""

    id: str
    kind: str
    name: str
    fallback: bool
    weight: int | None
    state: Literal["ok", "degraded", "ejected", "asleep", "down"]
    note: str | None
    in_flight: int
    queued: int
    running: int | None
    ejected_until: datetime | None
    replicas: list[ReplicaHealth] | None


class EndpointHealth(Model):
    """How an endpoint's targets are, as the gateways said last."""

    id: str
    name: str
    environment: Environment
    state: Literal["ok", "degraded", "down"]
    gateways: list[GatewayWord]
    targets: list[TargetHealth]


class Endpoint(Resource):
    """A name that callers use, in one environment."""

    name: str
    environment: Environment
    project: str | None
    kind: Literal["plain", "tiered"]
    deployment: str | None
    access: Access
    timeouts: dict[str, str]
    balance: dict[str, str | None]
    retries: dict[str, int]
    stream_recovery: Literal["none", "continue"]
    cache: dict[str, str] | None
    tier: dict[str, Any] | None
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
    gpus: list[str]
    isolation: list[str]


class Deployment(Resource):
    """A model version, served, and how far that is; `phase` sums `conditions` up."""

    name: str
    environment: Environment
    project: str
    endpoint: str
    phase: str
    conditions: list[Condition]
    warnings: list[ManifestFinding] | None
    serving_revision: int | None
    model: DeployedModel
    runtime: DeployedRuntime
    operations: list[str]
    replicas: list[Replica]
    replicas_wanted: int
    replicas_ready: int
    gpus: int | None
    prices: list[Price]
    manifest: dict[str, Any]
    origin: Origin | None
    first_ready_at: datetime | None
    expires_at: datetime | None

    @property
    def answers(self) -> bool:
        """Whether a call is answered: by a replica, or once it has woken one."""
        return self.phase in {"Ready", "Idle"}


class DeploymentCheck(Model):
    """What a manifest would come to; nothing was changed."""

    name: str
    environment: Environment
    project: str
    deployment: str | None
    message: str
    warnings: list[ManifestFinding] | None
    model: DeployedModel
    runtime: DeployedRuntime
    operations: list[str]
    replicas_wanted: int
    gpus: int | None
    prices: list[dict[str, str]]


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
    tags: dict[str, str]
    latest_version: int | None


class ModelAlias(Resource):
    """A name of a model's version that may move to another one."""

    model: str
    alias: str
    version: int
    uri: str
    reason: str


class AliasMove(Model):
    """One move of an alias; `from_version` is null where it was new, `to_version` where it went."""

    id: str
    at: datetime
    by: dict[str, str]
    from_version: int | None
    to_version: int | None
    reason: str | None


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
    metadata: dict[str, Any]
    carries_code: bool
    findings: list[dict[str, Any]]
    tags: dict[str, str]
    example: dict[str, Any] | None


class Runtime(Model):
    """How a format is served."""

    name: str
    version: str
    formats: list[str]
    dialect: str
    operations: list[str]
    quirks: list[str]
    request_fields: dict[str, Any]
    args: dict[str, Any]
    code_formats: list[str]


class GpuHolder(Model):
    """Whose own a GPU is: a replica, and the deployment that it is of."""

    replica: str
    deployment: str | None
    name: str | None
    environment: str | None


class Gpu(Model):
    """One GPU of a node, or one part of a divided one (`mig`), and what it is used for."""

    uuid: str
    name: str
    memory_bytes: int
    gpu_class: str
    mig: str | None
    used_bytes: int | None
    utilisation_percent: int | None
    held_by: GpuHolder | None


class Isolation(Model):
    """How model servers are kept apart from a node and from each other."""

    mode: Literal["strict", "best_effort", "off"]
    measures: dict[str, str]
    missing: dict[str, str]


class Node(Resource):
    """A machine that models run on."""

    name: str
    cores: int
    threads: int
    memory_bytes: int
    disk_bytes: int
    disk_free_bytes: int
    artifact_bytes: int
    artifact_max_bytes: int | None
    gpus: list[Gpu]
    isolation: Isolation
    seen_at: datetime
    alive: bool


class Health(Model):
    """Whether the address can take requests, with the reasons when it cannot."""

    ready: bool


class Collected(Model):
    """What nothing needed: so many files, their bytes, and uploads that nobody went on with."""

    dry_run: bool
    files: int
    size: int
    uploads: int
