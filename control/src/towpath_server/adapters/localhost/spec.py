"""What holds for every model server of this machine."""

import enum
import os
from dataclasses import dataclass, field

_LEAST_PROCESSES = 1_024  # threads count; engines start several for each core
_PER_CORE = 32


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


class Mode(enum.StrEnum):
    """What happens where a measure of isolation cannot be had."""

    STRICT = "strict"
    """No model server is started."""
    BEST_EFFORT = "best_effort"
    """It is left out, and the node says so."""
    OFF = "off"
    """None is used."""


@dataclass(frozen=True)
class Limits:
    """What holds for every replica of this machine."""

    grace_s: float = 10.0
    """Time a server gets to finish what is in flight, before it is killed."""
    log_bytes: int = 10 << 20
    backoff: Backoff = field(default_factory=Backoff)
    isolation: Mode = Mode.BEST_EFFORT
    threads: int = 1
    """Threads that all servers share."""
    processes: int = field(
        default_factory=lambda: max(_LEAST_PROCESSES, (os.cpu_count() or 1) * _PER_CORE)
    )
    """Processes and threads of one server."""
    gpus: int | None = None
    """GPUs that servers may be given; none: those that NVML finds."""
