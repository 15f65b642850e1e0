"""
What runs model servers, as the domains know it.

An adapter places replicas, says how they are, reads their logs and removes them; where and how a
process or a pod is made is its own affair. Everything here may be called again and again.
"""

import enum
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from towpath_server.core.secret import Secret


class Listen(enum.StrEnum):
    """How a model server is reached."""

    UNIX = "unix"
    PORT = "port"


@dataclass(frozen=True)
class Probe:
    """How often a server is asked, and how many refusals in a row count."""

    path: str
    period_s: float
    failures: int
    timeout_s: float = 2.0


@dataclass(frozen=True)
class ReplicaSpec:
    """One model server to keep running."""

    id: str
    command: tuple[str, ...]
    """
    Program and arguments.

    `{listen}` stands for the address, `{socket}` for a socket's path, `{port}` for the number of a
    port on 127.0.0.1.
    """
    listen: Listen
    secret: Secret
    startup: Probe
    readiness: Probe
    env: Mapping[str, str] = field(default_factory=dict)
    threads: int = 1
    memory_limit_bytes: int | None = None
    cpu_limit_milli: int | None = None
    """Thousandths of a core that it may use at most."""
    gpus: int = 0
    """GPUs of its own."""
    gpu_class: str | None = None
    """Class or MIG profile that they must have."""
    files: tuple[Path, ...] = ()
    """What it reads beside its program: the model, and what its runtime's description names."""
    own_network: bool = False
    """Start it only where nobody but the platform reaches its port."""

    @property
    def fingerprint(self) -> str:
        """Digest over all that a running process was started with."""
        facts: list[object] = [
            self.command,
            self.listen,
            sorted(self.env.items()),
            self.threads,
            hashlib.sha256(self.secret.reveal().encode()).hexdigest(),
        ]
        if self.gpus:
            facts.append([self.gpus, self.gpu_class])
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


class State(enum.StrEnum):
    """Where a replica's process stands."""

    STARTING = "starting"
    READY = "ready"
    UNREADY = "unready"
    BACKOFF = "backoff"
    STOPPING = "stopping"


@dataclass(frozen=True)
class Observation:
    """A replica as it is now."""

    id: str
    state: State
    address: str | None
    """`unix:/path` or `http://127.0.0.1:port`; none while nothing listens."""
    pid: int | None = None
    restarts: int = 0
    crashes: int = 0
    """Crashes in a row, without a stable time between."""
    reason: str | None = None
    """Why it is not ready, in one word: `Crashed`, `StartupTimeout`, `MemoryLimit`, …"""
    message: str | None = None
    retry_in_s: float | None = None
    load_ms: int | None = None
    """From the start of its process until it was healthy; none: it was not, or nobody saw it."""
    gpus: tuple[str, ...] = ()
    """GPUs that are its own, by UUID."""
    isolation: tuple[str, ...] = ()
    """Measures that hold for its process, as `Isolation.measures` names them."""


@dataclass(frozen=True)
class LogLine:
    """One line that a model server wrote."""

    at_ms: int
    """When it was written, to within a probe's period."""
    text: str


@dataclass(frozen=True)
class LogPart:
    """Some lines, and where the next ones begin."""

    lines: Sequence[LogLine]
    cursor: int
    """Bytes of the log before the next line; it only grows."""


@dataclass(frozen=True)
class Gpu:
    """One GPU, or one part of one where it is divided (MIG)."""

    uuid: str
    name: str
    memory_bytes: int
    gpu_class: str
    """Such as `h100-80gb`, as a manifest's `accelerator.class` says it."""
    mig: str | None = None
    """Profile of a part, such as `1g.10gb`; none: the whole GPU."""

    def called(self, name: str) -> bool:
        """Tell whether a manifest may mean it by this class or MIG profile."""
        return name in {self.gpu_class, self.mig, f"mig-{self.mig}"}

    def part_of(self, gpu_class: str) -> bool:
        """Tell whether it is a part of a GPU of this class."""
        return self.mig is not None and self.gpu_class == f"{gpu_class}-mig-{self.mig}"


@dataclass(frozen=True)
class GpuUse:
    """What a GPU is used for at the moment."""

    memory_bytes: int
    """Taken by anybody, programs that the platform did not start included."""
    replica: str | None = None
    """Whose own it is."""
    utilisation_percent: int | None = None
    """Part of the last moments in which it computed; none: it does not say, as parts do not."""


@dataclass(frozen=True)
class Use:
    """What a machine is used for at the moment."""

    gpus: Mapping[str, GpuUse] = field(default_factory=dict)
    """By UUID."""
    disk_free_bytes: int = 0
    artifact_bytes: int = 0
    """Files of models that it keeps."""
    artifact_max_bytes: int | None = None
    """More of them make room; none: they are the registry's own, and stay."""


@dataclass(frozen=True)
class Isolation:
    """How far the model servers of a machine are kept apart from it and from each other."""

    mode: str
    """`strict`, `best_effort` or `off`."""
    measures: Mapping[str, str] = field(default_factory=dict)
    """Measures that hold, each with the way it is done."""
    missing: Mapping[str, str] = field(default_factory=dict)
    """Measures that this machine does not allow, each with the reason."""


@dataclass(frozen=True)
class Capacity:
    """What a machine has for model servers."""

    name: str
    cores: int
    threads: int
    """Threads that its model servers share."""
    memory_bytes: int
    disk_bytes: int = 0
    """Size of the disk that the data folder is on."""
    gpus: tuple[Gpu, ...] = ()
    isolation: Isolation = field(default_factory=lambda: Isolation("off"))
    use: Use = field(default_factory=Use, compare=False)
    """It changes all the time, and makes no other machine of it."""


class Compute(Protocol):
    """Keeps model servers running."""

    async def start(self) -> list[str]:
        """Take over what still runs; return the ids of it."""
        ...

    async def place(self, spec: ReplicaSpec) -> None:
        """Keep this replica running from now on; one that runs from another spec is replaced."""
        ...

    def observe(self, replica: str) -> Observation | None:
        """Tell how a replica is; none when it is not kept here."""
        ...

    async def remove(self, replica: str) -> None:
        """End a replica and delete what it left; one that is not there is no error."""
        ...

    async def logs(
        self,
        replica: str,
        *,
        cursor: int | None = None,
        tail: int | None = None,
        since_ms: int | None = None,
    ) -> LogPart:
        """
        Read a replica's log, at most `MAX_LOG_LINES` lines at once.

        Args:
            cursor: Go on from here.
            tail: Without a cursor, at most so many of the last lines.
            since_ms: Without a cursor, only lines written since then.
        """
        ...

    def ids(self) -> set[str]:
        """Return the replicas that are kept here."""
        ...

    def on_change(self, listener: Callable[[str], None]) -> None:
        """Call `listener` with a replica's id whenever its state changes."""
        ...

    async def capacity(self) -> Capacity:
        """Tell what there is for model servers, and how they are isolated."""
        ...

    def lacking(self, programs: Sequence[str]) -> Sequence[str]:
        """
        Return those of the programs that a model server would not find.

        Args:
            programs: Names on the path of model servers, or places.
        """
        ...

    async def stop_all(self, *, grace_s: float | None = None) -> None:
        """End every replica, side by side; their logs stay."""
        ...

    async def detach(self) -> None:
        """Keep none any longer, and let all go on: the next control plane takes them over."""
        ...


MAX_LOG_LINES = 1_000
