"""
From load to a number of replicas: a pure function of what is declared and what was seen.

Up at once, by the last seconds; down by the last minute, at most by half within ten seconds, and
never while the load has doubled within that minute (Knative's panic mode, whose defaults these are:
https://knative.dev/docs/serving/autoscaling/kpa-specific/).
"""

import math
from dataclasses import dataclass

from towpath_server.core import cron
from towpath_server.core.clock import from_ms
from towpath_server.domains.deployments.models.scaling import Scaling, Why
from towpath_server.domains.deployments.service.scaling.windows import STABLE_MS, Windows

PANIC = 2.0  # times what the replicas are meant to have
STEP_MS = 10_000  # between two steps down
HEARD_MS = 5_000  # after a start, every gateway that is busy has said so
SLACK = 1e-9  # so that 16 / 8 is 2 whatever floats say


@dataclass(frozen=True)
class Wanted:
    """A number of replicas, and why."""

    count: int
    why: Why
    value: float
    stable: float
    least: int
    """The bound at this time, by declaration or schedule."""


def decide(scaling: Scaling, windows: Windows, *, now: int, present: int, waiting: bool) -> Wanted:
    """
    Say how many replicas there are to be.

    Args:
        now: Time in milliseconds.
        present: How many there are to be so far.
        waiting: Whether somebody waits for it to be woken.
    """
    bound = min(max(scaling.least, _scheduled(scaling, now)), scaling.most)
    value, stable = windows.short(now), windows.stable(now)
    count, why = _bounded(scaling, bound, present)
    if present == 0 and waiting:
        count, why = max(1, bound, _replicas(value, scaling.target)), Why.WOKEN
    elif count == present > 0:
        count, why = _loaded(scaling, windows, bound, now, present)
    return Wanted(min(count, scaling.most), why, value, stable, bound)


def _bounded(scaling: Scaling, bound: int, present: int) -> tuple[int, Why]:
    """Return the number, moved into its bounds."""
    if present < bound:
        return bound, Why.SCHEDULE if bound > scaling.least else Why.BOUNDS
    return min(present, scaling.most), Why.BOUNDS


def _loaded(
    scaling: Scaling, windows: Windows, bound: int, now: int, present: int
) -> tuple[int, Why]:
    """Return the number that the load asks for."""
    short = _replicas(windows.short(now), scaling.target)
    if short >= PANIC * present:
        windows.panic_ms = now
    panics = windows.panic_ms is not None and now - windows.panic_ms < STABLE_MS
    if short > present:
        return short, Why.PANIC if panics else Why.LOAD
    heard = now - windows.since_ms >= min(scaling.idle_ms, HEARD_MS)
    if bound == 0 and heard and now - windows.busy_ms >= scaling.idle_ms:
        return 0, Why.IDLE
    enough = max(_replicas(windows.stable(now), scaling.target), short, 1, bound)
    lately = windows.lowered_ms is not None and now - windows.lowered_ms < STEP_MS
    if panics or lately or not windows.known(now) or enough >= present:
        return present, Why.LOAD
    windows.lowered_ms = now
    return max(enough, present // 2, bound), Why.LOAD


def _scheduled(scaling: Scaling, now: int) -> int:
    """Return the largest minimum that holds by the clock; 0: none does."""
    moment = from_ms(now)
    holding = (
        one.replicas
        for one in scaling.schedule
        if cron.covers(one.cron, moment, for_ms=one.duration_ms, timezone=one.timezone)
    )
    return max(holding, default=0)


def _replicas(value: float, target: float) -> int:
    return math.ceil(value / target - SLACK)
