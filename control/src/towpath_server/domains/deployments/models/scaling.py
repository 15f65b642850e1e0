"""How many replicas there are: what is declared, what the load was, and what was decided."""

import enum
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from towpath_server.core.upstream import ColdStart

DEFAULT_TARGET = 8.0
"""Calls of one replica where neither `target` nor `maxConcurrency` says: a small engine's batch."""
DEFAULT_IDLE_MS = 15 * 60_000


class Metric(enum.StrEnum):
    """What of the load is compared with `target`, of one replica."""

    CONCURRENCY = "concurrency"
    """Calls in flight and waiting."""
    RPS = "rps"
    """Calls that begin, per second."""
    QUEUE = "queue"
    """Calls that wait."""
    TOKENS = "tokens"
    """Estimated tokens of the calls in flight."""


@dataclass(frozen=True)
class Minimum:
    """At least so many replicas from each time of a cron expression on, for a while."""

    cron: str
    duration_ms: int
    replicas: int
    timezone: str = "UTC"


@dataclass(frozen=True)
class Scaling:
    """Bounds, and by what the number of replicas follows the load."""

    least: int
    most: int
    metric: Metric = Metric.CONCURRENCY
    target: float = DEFAULT_TARGET
    idle_ms: int = DEFAULT_IDLE_MS
    """How long nothing was asked before the last replica goes, where `least` is 0."""
    schedule: tuple[Minimum, ...] = ()
    cold_start: ColdStart = field(default_factory=ColdStart)
    prewarm: bool = False
    """Whether it is woken before it is usually asked."""

    @property
    def fixed(self) -> bool:
        """Whether the number of replicas never changes."""
        return self.least == self.most

    @property
    def sleeps(self) -> bool:
        """Whether it may have no replica at all."""
        return self.least == 0

    @classmethod
    def just(cls, replicas: int) -> "Scaling":
        """Return what always has this many."""
        return cls(replicas, replicas)

    def document(self) -> dict[str, Any] | None:
        """Return it as it is stored; none where the number alone says it."""
        return None if self.fixed else asdict(self)

    @classmethod
    def of(cls, stored: Mapping[str, Any] | None, replicas: int) -> "Scaling":
        """Read what `document` wrote."""
        if stored is None:
            return cls.just(replicas)
        fields: dict[str, Any] = dict(stored)
        fields["metric"] = Metric(stored["metric"])
        fields["schedule"] = tuple(Minimum(**one) for one in stored["schedule"])
        fields["cold_start"] = ColdStart(**stored["cold_start"])
        return cls(**fields)


@dataclass(frozen=True)
class Demand:
    """What one gateway said last of the load of one deployment."""

    gateway: str
    deployment_id: str
    at_ms: int
    in_flight: int
    queued: int
    """Those that wait for it to be woken included."""
    calls: int
    """That began since the gateway knows it; it only grows."""
    busy_ms: int
    """Durations of the calls that ended, added up; it only grows."""
    tokens: int
    waiting: bool
    """Somebody waits for it to be woken, or would use it."""

    @property
    def quiet(self) -> bool:
        """Whether nothing is under way."""
        return not (self.in_flight or self.queued or self.waiting)


class Why(enum.StrEnum):
    """The reason of a decision."""

    WOKEN = "Woken"
    """Somebody asked while it was asleep."""
    LOAD = "Load"
    PANIC = "Panic"
    """The load has at least doubled within seconds."""
    IDLE = "Idle"
    """Nobody asked for its `idleTimeout`."""
    HABIT = "Habit"
    """It is usually asked about this time."""
    SCHEDULE = "Schedule"
    BOUNDS = "Bounds"
    """What was declared leaves no other number."""


@dataclass(frozen=True)
class Decision:
    """One change of the number of replicas, with what it was decided by."""

    id: str
    deployment_id: str
    at_ms: int
    before: int
    after: int
    why: Why
    metric: Metric
    target: float
    value: float
    """Of all replicas together, over the last seconds."""
    stable: float
    """The same over the last minute."""
    least: int
    most: int
    limited: str | None = None
    """What kept it from more: quota, memory or GPUs."""


@dataclass(frozen=True)
class ColdStarted:
    """One time that it was woken: until it answered, and how much of that its engine took."""

    deployment_id: str
    at_ms: int
    took_ms: int
    engine_ms: int

    @property
    def platform_ms(self) -> int:
        """All but the engine's own load."""
        return max(0, self.took_ms - self.engine_ms)
