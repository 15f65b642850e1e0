"""How a deployment is scaled, on the wire."""

from collections.abc import Sequence
from datetime import datetime

from pydantic import Field

from towpath_server.domains.deployments.models.scaling import ColdStarted, Decision, Minimum
from towpath_server.domains.deployments.service.scaling import Standing
from towpath_server.web.schemas import Out, at, at_or_none


class ScheduleOut(Out):
    """A minimum by the clock."""

    cron: str
    duration_ms: int
    min_replicas: int
    timezone: str

    @classmethod
    def of(cls, one: Minimum) -> "ScheduleOut":
        """Write it."""
        return cls(
            cron=one.cron,
            duration_ms=one.duration_ms,
            min_replicas=one.replicas,
            timezone=one.timezone,
        )


class LoadOut(Out):
    """What the gateways say of it now, added up."""

    in_flight: int
    queued: int = Field(description="Those that wait for it to be woken included.")
    tokens: int = Field(description="Estimated tokens of the calls in flight.")


class QuantilesOut(Out):
    """Of the last cold starts, in milliseconds."""

    p50: int
    p95: int

    @classmethod
    def of(cls, values: Sequence[int]) -> "QuantilesOut":
        """Write those of some values, by nearest rank."""
        ordered = sorted(values)
        last = len(ordered) - 1
        return cls(
            p50=ordered[round(last * 0.5)],
            p95=ordered[round(last * 0.95)],
        )


class ColdStartOut(Out):
    """One time that it was woken, in milliseconds."""

    at: datetime
    total_ms: int
    engine_ms: int
    platform_ms: int

    @classmethod
    def of(cls, one: ColdStarted) -> "ColdStartOut":
        """Write it."""
        return cls(
            at=at(one.at_ms),
            total_ms=one.took_ms,
            engine_ms=one.engine_ms,
            platform_ms=one.platform_ms,
        )


class ColdStartsOut(Out):
    """How long the last callers waited for it, and where the time went."""

    last: list[ColdStartOut] = Field(description="The last 20, newest first.")
    total_ms: QuantilesOut
    engine_ms: QuantilesOut = Field(description="The engine's own load.")
    platform_ms: QuantilesOut = Field(description="All the rest.")
    estimate_ms: int = Field(description="What `Retry-After` says where no more may wait.")

    @classmethod
    def of(cls, found: Sequence[ColdStarted], estimate_ms: int) -> "ColdStartsOut":
        """Write them."""
        return cls(
            last=[ColdStartOut.of(one) for one in found],
            total_ms=QuantilesOut.of([one.took_ms for one in found]),
            engine_ms=QuantilesOut.of([one.engine_ms for one in found]),
            platform_ms=QuantilesOut.of([one.platform_ms for one in found]),
            estimate_ms=estimate_ms,
        )


class ScalingOut(Out):
    """By what the number of replicas is decided, and where it stands."""

    deployment: str
    phase: str
    min_replicas: int
    max_replicas: int
    metric: str
    target: float = Field(description="Of the metric, for one replica.")
    idle_timeout_ms: int | None = Field(description="Null: it never sleeps.")
    schedule: list[ScheduleOut]
    replicas_wanted: int
    replicas_ready: int
    load: LoadOut
    busy_at: datetime | None = Field(description="When it last had calls, while it is scaled.")
    cold_starts: ColdStartsOut | None

    @classmethod
    def of(cls, found: Standing) -> "ScalingOut":
        """Write where it stands."""
        view, rules = found.view, found.scaling
        return cls(
            deployment=view.deployment.id,
            phase=view.deployment.phase,
            min_replicas=rules.least,
            max_replicas=rules.most,
            metric=rules.metric,
            target=rules.target,
            idle_timeout_ms=rules.idle_ms if rules.sleeps else None,
            schedule=[ScheduleOut.of(one) for one in rules.schedule],
            replicas_wanted=view.size(view.serving or view.current),
            replicas_ready=len(view.exposed),
            load=LoadOut(
                in_flight=sum(one.in_flight for one in found.demands),
                queued=sum(one.queued for one in found.demands),
                tokens=sum(one.tokens for one in found.demands),
            ),
            busy_at=at_or_none(found.last_call_at_ms),
            cold_starts=None
            if found.estimate_ms is None
            else ColdStartsOut.of(found.cold_starts, found.estimate_ms),
        )


class ScalingDecisionOut(Out):
    """One change of the number of replicas, and the numbers it was decided by."""

    id: str
    at: datetime
    before: int
    after: int
    reason: str = Field(
        description="`Woken`, `Load`, `Panic` (the load doubled within seconds), `Idle`, "
        "`Habit` (it is usually asked about this time), `Schedule` or `Bounds`."
    )
    metric: str
    target: float
    value: float = Field(description="Of all replicas together, over the last seconds.")
    stable: float = Field(description="The same over the last minute.")
    min_replicas: int = Field(description="The bound at that time, by manifest or schedule.")
    max_replicas: int
    limited_by: str | None = Field(description="What there was no more room in.")

    @classmethod
    def of(cls, one: Decision) -> "ScalingDecisionOut":
        """Write a decision."""
        return cls(
            id=one.id,
            at=at(one.at_ms),
            before=one.before,
            after=one.after,
            reason=one.why,
            metric=one.metric,
            target=one.target,
            value=one.value,
            stable=one.stable,
            min_replicas=one.least,
            max_replicas=one.most,
            limited_by=one.limited,
        )
