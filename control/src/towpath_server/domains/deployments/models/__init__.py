"""A deployment: what was declared, what is derived from it, and what is observed."""

import enum
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from towpath_server.adapters.objectstore.store import StoredFile
from towpath_server.core.errors import Finding
from towpath_server.core.money import Price, PriceDraft
from towpath_server.core.sources import Address
from towpath_server.domains.deployments.models.history import Origin
from towpath_server.domains.deployments.models.proving import Proving, Result, SmokeTest, Trial
from towpath_server.domains.deployments.models.rollout import Plan, Rollout, Sides
from towpath_server.domains.deployments.models.scaling import Scaling
from towpath_server.domains.endpoints.models import AccessDraft
from towpath_server.domains.endpoints.models.serving import Timeouts
from towpath_server.domains.evaluations.models import Gate


class Phase(enum.StrEnum):
    """Where a deployment stands, in one word."""

    PENDING = "Pending"
    PROGRESSING = "Progressing"
    READY = "Ready"
    IDLE = "Idle"
    """It has no replica, and the first call wakes it."""
    DEGRADED = "Degraded"
    FAILED = "Failed"
    DELETING = "Deleting"


class Step(enum.StrEnum):
    """The conditions, in the order in which they come true."""

    CHECKED = "Checked"
    FETCHED = "Fetched"
    PROVISIONED = "Provisioned"
    LOADED = "Loaded"
    SMOKE_TESTED = "SmokeTested"
    EVALUATED = "Evaluated"
    EXPOSED = "Exposed"


class Status(enum.StrEnum):
    """Whether a condition holds."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


@dataclass(frozen=True)
class Condition:
    """One step of a deployment: whether it is done, why, and what to do when it is bad news."""

    type: Step
    status: Status
    reason: str
    message: str
    fix: str | None = None
    changed_at_ms: int = 0
    results: tuple[Result, ...] = ()
    """What became of each part, where the step has parts."""


@dataclass(frozen=True)
class MetadataDraft:
    """Who it is."""

    name: str
    project: str | None
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)


ALIAS = "towpath.dev/alias"
"""The annotation that holds the alias a manifest named, beside the version it was pinned to."""


@dataclass(frozen=True)
class ModelDraft:
    """Which registry version is to be served: by its number, by an alias or by where it is from."""

    name: str
    """Empty where it is the deployment's own."""
    version: int | None
    alias: str | None = None
    format: str | None = None
    digest: str | None = None
    source: Address | None = None
    """Where it is fetched from, unless it was already."""


@dataclass(frozen=True)
class RuntimeDraft:
    """What serves it, and with which arguments."""

    name: str | None = None
    version: str | None = None
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Resources:
    """What it asks for, and what it may take at most."""

    cpu_milli: int | None = None
    memory_bytes: int | None = None
    memory_limit_bytes: int | None = None
    gpus: int | None = None
    """Of one replica."""
    cpu_limit_milli: int | None = None
    mig: str | None = None
    """Profile of the part of a GPU that is meant, such as `1g.10gb`; none: whole ones."""


@dataclass(frozen=True)
class ProbeDraft:
    """How health is asked for, where it differs from the runtime's own way."""

    path: str | None = None
    period_s: float | None = None
    failures: int | None = None
    timeout_s: float | None = None


@dataclass(frozen=True)
class Draft:
    """A manifest as far as it could be read; a part that could not be is none."""

    metadata: MetadataDraft | None
    model: ModelDraft | None
    runtime: RuntimeDraft | None
    accelerator: str | None
    """Class of the GPUs."""
    resources: Resources | None
    scaling: Scaling | None
    max_concurrency: int | None
    startup: ProbeDraft | None
    readiness: ProbeDraft | None
    access: AccessDraft | None
    max_data_class: str
    prices: tuple[PriceDraft, ...]
    timeouts: Timeouts | None
    document: Mapping[str, Any]
    smoke_tests: tuple[SmokeTest, ...] = ()
    gates: tuple[Gate, ...] = ()
    rollout: Plan | None = None
    """How it takes over from what serves; none: at once, when it has proved itself."""
    findings: tuple[Finding, ...] = ()
    lines: Mapping[str, int] = field(default_factory=dict)
    """Line of each JSON pointer, where the manifest came as YAML."""
    declared: Mapping[str, Any] = field(default_factory=dict)
    """The manifest as it was written; `document` is what the environment makes of it."""
    moved: Mapping[str, str] = field(default_factory=dict)
    """Where in the overrides the values at these JSON pointers were written."""

    @property
    def replicas(self) -> int | None:
        """As many replicas as there may be."""
        return self.scaling.most if self.scaling else None


@dataclass(frozen=True)
class Workload:
    """All that a replica's process depends on; equal ones can stand for each other."""

    model: str
    version: int
    model_digest: str
    files: tuple[StoredFile, ...]
    runtime: str
    runtime_version: str
    args: tuple[str, ...]
    env: Mapping[str, str]
    threads: int
    memory_limit_bytes: int | None
    startup: ProbeDraft
    readiness: ProbeDraft
    gpus: int = 0
    gpu_class: str | None = None
    cpu_limit_milli: int | None = None

    @property
    def digest(self) -> str:
        """Digest over all of it."""
        facts = asdict(self)
        for name in ("gpus", "gpu_class", "cpu_limit_milli"):  # so that older workloads keep theirs
            if not facts[name]:
                del facts[name]
        text = json.dumps(facts, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Reservation:
    """What one replica is reserved of its machine and of its team's quota."""

    cpu_milli: int
    memory_bytes: int
    """0 where nothing says how much it takes."""
    gpus: int = 0
    gpu_class: str | None = None


@dataclass(frozen=True)
class Serving:
    """All that the gateway must know of a revision, beside its replicas."""

    dialect: str
    operations: tuple[str, ...]
    request_fields: Mapping[str, Mapping[str, float]]
    signature: Mapping[str, Any] | None
    max_data_class: str
    context_length: int | None
    modalities: tuple[str, ...]
    owned_by: str
    handling: Mapping[str, Any] = field(default_factory=dict)
    """How its replicas are called, as `core.upstream.Handling` writes it."""

    @property
    def gpus(self) -> int | None:
        """GPUs of one replica: what a second of it is priced by."""
        return self.handling.get("gpus")


@dataclass(frozen=True)
class Revision:
    """One immutable declaration of a deployment."""

    deployment_id: str
    number: int
    manifest: Mapping[str, Any]
    workload: Workload
    serving: Serving
    scaling: Scaling
    reserved: Reservation
    created_at_ms: int
    created_by: str
    warnings: tuple[Finding, ...] = ()
    """What policies said when it was checked."""
    proving: Proving = field(default_factory=Proving)
    proved_by: int | None = None
    """An earlier revision that was asked the same of the same workload, and took traffic."""
    exposed_at_ms: int | None = None
    """When it first took the traffic."""
    note: str | None = None
    """Why it was declared, where it was not by a manifest."""
    origin: Origin | None = None
    """How it came about; none: before that was written down."""
    rollout: Rollout | None = None
    """How it took over step by step, where revisions are listed; none: it did at once."""


@dataclass(frozen=True)
class Deployment:
    """A name in one environment, and the model servers behind it."""

    id: str
    revision: int
    """Number of the newest revision, and the `ETag`."""
    created_at_ms: int
    updated_at_ms: int
    name: str
    environment: str
    team_id: str
    project_id: str
    endpoint_id: str
    serving: int
    """Number of the revision that takes the traffic; 0 before the first was ready."""
    phase: Phase
    conditions: tuple[Condition, ...]
    first_ready_at_ms: int | None
    deleting_at_ms: int | None
    expires_at_ms: int | None = None
    """When it is taken away unless it is renewed; none: it stays."""
    warned_at_ms: int | None = None
    """When it was said that it expires."""
    scale: int | None = None
    """Replicas that its load asks for; none: nothing was decided yet."""
    woken_at_ms: int | None = None
    """When somebody asked for it in its sleep; none: it answers, or nobody did."""
    project_path: str = ""

    @property
    def deleting(self) -> bool:
        """Whether it is on its way out."""
        return self.deleting_at_ms is not None


class ReplicaState(enum.StrEnum):
    """Where a replica stands."""

    PENDING = "pending"
    STARTING = "starting"
    READY = "ready"
    UNREADY = "unready"
    BACKOFF = "backoff"
    STOPPING = "stopping"


@dataclass(frozen=True)
class Replica:
    """One model server of a deployment."""

    id: str
    deployment_id: str
    number: int
    """The revision it serves."""
    ordinal: int
    workload: str
    credential_id: str
    state: ReplicaState = ReplicaState.PENDING
    address: str | None = None
    restarts: int = 0
    crashes: int = 0
    reason: str | None = None
    message: str | None = None
    retire_at_ms: int | None = None
    """When it may be stopped: it takes no new traffic any more."""
    created_at_ms: int = 0
    gpus: tuple[str, ...] = ()
    """GPUs that are its own, by UUID."""
    isolation: tuple[str, ...] = ()
    """How its process is shut in; empty: not at all."""

    @property
    def ready(self) -> bool:
        """Whether it can answer."""
        return self.state is ReplicaState.READY and self.address is not None

    @property
    def retiring(self) -> bool:
        """Whether it is on its way out."""
        return self.retire_at_ms is not None


@dataclass(frozen=True)
class View:
    """A deployment with all that belongs to it."""

    deployment: Deployment
    current: Revision
    serving: Revision | None
    replicas: tuple[Replica, ...]
    prices: tuple[Price, ...] = ()
    trial: Trial | None = None
    """Of the newest revision, once it was asked for."""

    rollout: Rollout | None = None
    """Of the newest revision, while it takes over step by step or was given up."""

    def wanted(self, revision: Revision) -> int:
        """
        Return how many replicas of a revision there are to be.

        What has not taken over yet has one at least: it has to prove itself. While it does so step
        by step, its step says how many there are of it and of what serves.
        """
        if self.rollout is None:
            return self.size(revision)
        newest = revision.number == self.current.number
        if self.rollout.failed:
            return 0 if newest else self.size(revision)
        sides = self.sides
        return self.rollout.candidates(sides) if newest else self.rollout.stable(sides)

    def size(self, revision: Revision) -> int:
        """Return how many replicas of a revision there are to be when it has all of the traffic."""
        scaling = revision.scaling
        scale = max(1, scaling.least) if self.deployment.scale is None else self.deployment.scale
        serves = revision.number == self.deployment.serving
        return min(max(scale, scaling.least, 0 if serves else 1), scaling.most)

    @property
    def sides(self) -> Sides:
        """Return how many replicas there are of the newest revision and of the serving one."""
        number = self.deployment.serving
        return Sides(
            size=self.size(self.current),
            stable_size=self.size(self.serving) if self.serving else 0,
            ready=sum(replica.ready for replica in self.of(self.current.number)),
            stable_present=sum(replica.number == number for replica in self.replicas),
            stable_ready=len(self.exposed),
        )

    def missing(self, revision: Revision) -> Sequence[int]:
        """Return the ordinals of the replicas of a revision that there are to be, and are not."""
        there = {replica.ordinal for replica in self.of(revision.number)}
        return [ordinal for ordinal in range(self.wanted(revision)) if ordinal not in there]

    @property
    def asleep(self) -> bool:
        """Whether it is to have no replica and has none that takes calls: the next one wakes it."""
        shown = self.shown
        return self.settled and self.wanted(shown) == 0 and not self.of(shown.number)

    def of(self, number: int) -> tuple[Replica, ...]:
        """Return the replicas of a revision that are not on their way out."""
        return tuple(r for r in self.replicas if r.number == number and not r.retiring)

    @property
    def here(self) -> bool:
        """Whether anything of it is left, where it is being deleted."""
        return not self.deployment.deleting or bool(self.replicas)

    @property
    def exposed(self) -> tuple[Replica, ...]:
        """Return the replicas that take traffic now."""
        return tuple(r for r in self.of(self.deployment.serving) if r.ready)

    @property
    def taken_over(self) -> bool:
        """Whether the newest revision takes the traffic."""
        return self.deployment.serving == self.current.number

    @property
    def rolled_back(self) -> bool:
        """Whether the newest revision was given up: what serves goes on."""
        return self.rollout is not None and self.rollout.failed

    @property
    def settled(self) -> bool:
        """Whether no revision is on its way to the traffic."""
        return self.taken_over or self.rolled_back

    @property
    def shown(self) -> Revision:
        """The revision whose replicas say how the deployment is: the newest, unless given up."""
        return self.serving if self.rolled_back and self.serving else self.current

    @property
    def able(self) -> bool:
        """
        Whether the newest revision has the replicas that it takes to serve.

        Where nothing serves, one is better than none; but what is tested is tested whole.
        """
        ready = [replica for replica in self.of(self.current.number) if replica.ready]
        urgent = not self.exposed and not self.current.proving.tests
        return len(ready) >= self.wanted(self.current) or (bool(ready) and urgent)

    @property
    def evaluated(self) -> bool:
        """Whether it is written down that every gate was passed."""
        conditions = self.deployment.conditions
        return any(one.type is Step.EVALUATED and one.status is Status.TRUE for one in conditions)

    @property
    def tested(self) -> bool:
        """Whether no smoke test stands between the newest revision and the traffic."""
        current = self.current
        asked = current.proving.tests and current.proved_by is None
        return not asked or (self.trial is not None and self.trial.passed)


@dataclass(frozen=True)
class Checked:
    """What a manifest comes to, once every check has passed."""

    name: str
    environment: str
    team_id: str
    project_id: str
    project_path: str
    deployment_id: str | None
    workload: Workload
    serving: Serving
    scaling: Scaling
    reserved: Reservation
    prices: tuple[PriceDraft, ...]
    access: AccessDraft
    timeouts: Timeouts
    manifest: Mapping[str, Any]
    message: str
    """What the check found, in a sentence."""
    warnings: tuple[Finding, ...] = ()
    """What policies say that does not stand in the way."""
    audited: tuple[Mapping[str, str], ...] = ()
    """What policies say to the audit log alone."""
    proving: Proving = field(default_factory=Proving)
    rollout: Plan | None = None
