"""How the number of a deployment's replicas follows its load."""

from datetime import datetime
from typing import Literal

from towpath.model import Model

Metric = Literal["concurrency", "rps", "queue", "tokens"]


class ScalingSchedule(Model):
    """At least so many replicas from each time of a cron expression on, for a while."""

    cron: str
    duration_ms: int
    min_replicas: int
    timezone: str


class ScalingLoad(Model):
    """What the gateways say of it now, added up."""

    in_flight: int
    queued: int
    """Those that wait for it to be woken included."""
    tokens: int
    """Estimated tokens of the calls in flight."""


class Quantiles(Model):
    """Of the last cold starts, in milliseconds."""

    p50: int
    p95: int


class ColdStart(Model):
    """One time that it was woken, in milliseconds."""

    at: datetime
    total_ms: int
    engine_ms: int
    """The engine's own load."""
    platform_ms: int
    """All the rest."""


class ColdStarts(Model):
    """How long the last callers waited for it, and where the time went."""

    last: list[ColdStart]
    """The last 20, newest first."""
    total_ms: Quantiles
    engine_ms: Quantiles
    """The engine's own load."""
    platform_ms: Quantiles
    """All the rest."""
    estimate_ms: int
    """What `Retry-After` says where no more may wait."""


class DeploymentScaling(Model):
    """By what the number of replicas is decided, and where it stands."""

    deployment: str
    phase: str
    min_replicas: int
    max_replicas: int
    metric: Metric
    target: float
    """Of the metric, for one replica."""
    idle_timeout_ms: int | None
    """None: it never sleeps."""
    schedule: list[ScalingSchedule]
    replicas_wanted: int
    replicas_ready: int
    load: ScalingLoad
    busy_at: datetime | None
    """When it last had calls, while it is scaled."""
    cold_starts: ColdStarts | None


class ScalingDecision(Model):
    """One change of the number of replicas, and the numbers it was decided by."""

    id: str
    at: datetime
    before: int
    after: int
    reason: str
    """`Woken`, `Load`, `Panic`, `Idle`, `Habit`, `Schedule` or `Bounds`."""
    metric: Metric
    target: float
    value: float
    """Of all replicas together, over the last seconds."""
    stable: float
    """The same over the last minute."""
    min_replicas: int
    max_replicas: int
    limited_by: str | None
    """What there was no more room in."""
