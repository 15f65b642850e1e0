"""What the adapter is told about a replica, and what it tells of it."""

import enum
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

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
class Backoff:
    """How long to wait before a crashed server is started again."""

    first_s: float = 1.0
    factor: float = 2.0
    cap_s: float = 60.0
    stable_s: float = 60.0  # ready for this long, and the crashes before it are forgotten

    def delay_s(self, crashes: int) -> float:
        """Return the wait after so many crashes in a row; the first one is repaired at once."""
        if crashes <= 1:
            return 0.0
        return min(self.cap_s, self.first_s * self.factor ** (min(crashes, 64) - 2))


@dataclass(frozen=True)
class Limits:
    """What holds for every replica of this machine."""

    grace_s: float = 10.0
    """Time a server gets to finish what is in flight, before it is killed."""
    log_bytes: int = 10 << 20
    backoff: Backoff = field(default_factory=Backoff)


@dataclass(frozen=True)
class ReplicaSpec:
    """One model server to keep running."""

    id: str
    command: tuple[str, ...]
    """Program and arguments; `{listen}` stands for the address."""
    listen: Listen
    secret: Secret
    startup: Probe
    readiness: Probe
    env: Mapping[str, str] = field(default_factory=dict)
    threads: int = 1
    memory_limit_bytes: int | None = None

    @property
    def fingerprint(self) -> str:
        """Digest over all that a running process was started with."""
        facts = [
            self.command,
            self.listen,
            sorted(self.env.items()),
            self.threads,
            hashlib.sha256(self.secret.reveal().encode()).hexdigest(),
        ]
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
