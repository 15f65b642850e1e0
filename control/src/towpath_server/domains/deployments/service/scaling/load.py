"""What the load of deployments is, how many replicas were decided on, and how fast they wake."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from towpath_server.core import ids
from towpath_server.core.access import Principal
from towpath_server.core.db import Tx
from towpath_server.core.paging import Slice, Window
from towpath_server.core.signals import TargetReport
from towpath_server.domains.deployments.models import Replica, View
from towpath_server.domains.deployments.models.scaling import (
    ColdStarted,
    Decision,
    Demand,
    Scaling,
    Why,
)
from towpath_server.domains.deployments.service import read
from towpath_server.domains.deployments.service.scaling import habit
from towpath_server.domains.deployments.service.scaling.windows import FRESH_MS
from towpath_server.domains.deployments.store import deployments as deployment_store
from towpath_server.domains.deployments.store import scaling as store

LEAVES_MS = 3_000
"""How long a replica stays after a gateway said that it has calls: gateways say so every second."""
GRACE_MS = 10_000
"""How long calls keep what is being deleted: a model server gets as long to end by itself."""
_LATE_MS = 5_000  # the most that a gateway's clock is believed to be behind
_LIKELY = 0.9  # of the cold starts are over within the estimate


Facts = tuple[int | None, int, int]
"""Replicas that were decided on, serving revision, newest revision."""


@dataclass(frozen=True)
class Standing:
    """How a deployment is scaled, as who asks for it is shown."""

    view: View
    scaling: Scaling
    demands: Sequence[Demand]
    """What the gateways say now."""
    last_call_at_ms: int | None
    """When it was last busy, as far as gateways said so."""
    estimate_ms: int | None
    """How long waking probably takes."""
    cold_starts: Sequence[ColdStarted]
    """The last ones, newest first."""


async def hear(tx: Tx, reports: Sequence[tuple[str, TargetReport]]) -> bool:
    """
    Take what a gateway says of the load of deployments; tell whether somebody waits for one.

    What it still calls is not ended, though it gets no new calls any more.
    """
    told = _told(reports)
    busy = _busy(reports)
    if busy:
        await store.postpone(tx, busy, tx.now_ms + LEAVES_MS, grace_ms=GRACE_MS)
    scaled = await store.scaled(tx, told) if told else {}
    await store.hear(tx, [_demand(id_, told[id_]) for id_ in scaled])
    return any(told[id_].waiting_for_wake for id_ in scaled)


async def concerns(tx: Tx, reports: Sequence[tuple[str, TargetReport]]) -> bool:
    """Tell whether there is anything in a gateway's words that `hear` would write."""
    told = _told(reports)
    busy = _busy(reports)
    if busy and await store.leaving(tx, busy):
        return True
    return bool(told and await store.scaled(tx, told))


async def scaled(tx: Tx) -> dict[str, Facts]:
    """Return the deployments whose number of replicas follows the load, and where they stand."""
    return await store.scaled(tx)


def facts(view: View) -> Facts:
    """Return where a deployment stands: without a change of it or a call, nothing is decided."""
    deployment = view.deployment
    return (deployment.scale, deployment.serving, deployment.revision)


async def demands(
    tx: Tx, *, since_ms: int | None = None, wanted: Collection[str] | None = None
) -> Sequence[Demand]:
    """Return the last words of the gateways on the load."""
    return await store.demands(tx, since_ms=since_ms, wanted=wanted)


async def scale(tx: Tx, view: View, decision: Decision, *, asked_at_ms: int | None) -> None:
    """
    Change how many replicas there are to be; they come and go by reconciliation.

    Args:
        asked_at_ms: When somebody asked for it in its sleep, where that is the reason.
    """
    values: dict[str, int | None] = {"scale": decision.after}
    if decision.why is Why.WOKEN:
        asked = asked_at_ms or tx.now_ms
        values["woken_at_ms"] = min(max(asked, tx.now_ms - _LATE_MS), tx.now_ms)
    if decision.after == 0:
        values["woken_at_ms"] = None
    await deployment_store.observe(tx, view.deployment.id, values)
    await store.decide(tx, decision)
    tx.noted.append(("target", view.deployment.id))


async def usual(tx: Tx, view: View, scaling: Scaling, now: int) -> bool:
    """Tell whether what sleeps is usually asked about now, where it is to be woken for that."""
    if not scaling.prewarm:
        return False
    id_ = view.deployment.id
    found = await store.decided_since(tx, id_, now - habit.KEPT_MS)
    takes = (await estimates(tx, [id_])).get(id_) or 0
    return habit.usual(found, now=now, takes_ms=takes, idle_ms=scaling.idle_ms)


async def limited(tx: Tx, decision: Decision) -> None:
    """Note that there is no room for what the load asks for."""
    await store.decide(tx, decision)


async def woken(tx: Tx, view: View, replica: Replica, engine_ms: int | None) -> None:
    """Note how long it took until a sleeping model answers, once it does."""
    asked = view.deployment.woken_at_ms
    if asked is None or replica.number != view.deployment.serving or view.exposed:
        return
    if engine_ms is not None:
        took = max(tx.now_ms - asked, engine_ms)
        started = ColdStarted(view.deployment.id, tx.now_ms, took, engine_ms)
        await store.cold_start(tx, replica.id, started)
    await deployment_store.observe(tx, view.deployment.id, {"woken_at_ms": None})


async def estimates(tx: Tx, wanted: Collection[str]) -> dict[str, int]:
    """Return how long waking probably takes, by deployment, in milliseconds."""
    return {id_: _estimate(took) for id_, took in (await store.learned(tx, wanted)).items()}


async def standing(tx: Tx, caller: Principal, ref: str, *, environment: str | None) -> Standing:
    """
    Say how a deployment is scaled, what the load is, and how fast it woke lately.

    Raises:
        NotFound: There is none that the caller may see.
        InvalidRequest: The name exists in several environments, and none was said.
    """
    view = await read.get(tx, caller, ref, environment=environment)
    id_ = view.deployment.id
    started = await store.cold_starts_of(tx, id_)
    return Standing(
        view=view,
        scaling=(view.serving or view.current).scaling,
        demands=await store.demands(tx, wanted=[id_], since_ms=tx.now_ms - FRESH_MS),
        last_call_at_ms=await store.last_call(tx, id_),
        estimate_ms=_estimate([one.took_ms for one in started]) if started else None,
        cold_starts=started,
    )


async def decisions(
    tx: Tx, caller: Principal, ref: str, window: Window, *, environment: str | None
) -> Slice[Decision]:
    """
    List how the number of replicas changed and why, newest first.

    Raises:
        NotFound: There is none that the caller may see.
        InvalidRequest: The name exists in several environments, and none was said.
    """
    view = await read.get(tx, caller, ref, environment=environment)
    found = await store.decisions(tx, view.deployment.id, window)
    return Slice.cut(found, window, key=lambda one: one.id)


def _told(reports: Sequence[tuple[str, TargetReport]]) -> dict[str, TargetReport]:
    """Return what is said of each deployment: of all its targets, while a revision takes over."""
    told: dict[str, TargetReport] = {}
    for id_, report in reports:
        owner = id_.partition(".")[0]
        if ids.is_id(owner, "dep"):
            told[owner] = _both(told[owner], report) if owner in told else report
    return told


def _both(one: TargetReport, other: TargetReport) -> TargetReport:
    return replace(
        one,
        in_flight=one.in_flight + other.in_flight,
        queued=one.queued + other.queued,
        calls=one.calls + other.calls,
        busy_ms=one.busy_ms + other.busy_ms,
        tokens=one.tokens + other.tokens,
        waiting_for_wake=one.waiting_for_wake or other.waiting_for_wake,
    )


def _busy(reports: Sequence[tuple[str, TargetReport]]) -> set[str]:
    """Return the replicas that have calls."""
    return {id_ for _, report in reports for id_, one in report.replicas.items() if one.in_flight}


def _estimate(took: Sequence[int]) -> int:
    ordered = sorted(took)
    return ordered[min(len(ordered) - 1, math.ceil(len(ordered) * _LIKELY) - 1)]


def _demand(deployment_id: str, said: TargetReport) -> Demand:
    return Demand(
        gateway=said.gateway,
        deployment_id=deployment_id,
        at_ms=said.at_ms,
        in_flight=said.in_flight,
        queued=said.queued,
        calls=said.calls,
        busy_ms=said.busy_ms,
        tokens=said.tokens,
        waiting=said.waiting_for_wake,
    )
