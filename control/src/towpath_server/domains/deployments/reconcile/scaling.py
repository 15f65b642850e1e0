"""
The one writer of how many replicas there are to be.

It looks every second at what has a load and every few at everything, and at once when somebody
waits for what is asleep. What it remembers of the load starts anew with each control plane, so it
takes nothing away before it has seen a whole window.
"""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from towpath_server.adapters.facilities import Facilities
from towpath_server.core import ids, revision
from towpath_server.core import log as logging
from towpath_server.core.clock import to_ms
from towpath_server.core.db import Database, Tx
from towpath_server.core.errors import TowpathError
from towpath_server.domains.deployments import service as deployments
from towpath_server.domains.deployments.models import View
from towpath_server.domains.deployments.models.scaling import Decision, Demand, Metric, Scaling, Why
from towpath_server.domains.deployments.service import scaling as rules
from towpath_server.domains.deployments.service.scaling import FRESH_MS, Facts, Wanted, Windows
from towpath_server.loops.lease import Lease

log = logging.get(__name__)

TICK_S = 1.0  # as often as gateways speak
_WHOLE_MS = 5_000
_HABIT_MS = 60_000  # habits are known to minutes
_PAGE = 100  # deployments that are read at once


@dataclass
class _Kept:
    """What is remembered of one deployment."""

    metric: Metric
    windows: Windows
    limited: tuple[int, str] | None = None
    """What there was no room for, as it was written down."""


@dataclass
class Scaler:
    """Has the number of replicas follow the load."""

    db: Database
    facilities: Facilities
    _kept: dict[str, _Kept] = field(default_factory=dict)
    _due: dict[str, tuple[Facts, int | None]] = field(default_factory=dict)
    """When each is to be looked at without a call or a change of these facts; none: never."""
    _whole_at_ms: int = 0

    async def look(self) -> Sequence[Decision]:
        """Look at the load once, and decide where the number is to change."""
        now = to_ms(self.db.clock.now())
        whole = now >= self._whole_at_ms
        async with self.db.read() as tx:
            said = await rules.demands(tx, since_ms=now - FRESH_MS)
            wanted = {one.deployment_id for one in said}
            wanted |= {id_ for id_, (_, at) in self._due.items() if at is not None and at <= now}
            scaled = await rules.scaled(tx) if whole else {}
        if whole:
            self._whole_at_ms = now + _WHOLE_MS
            self._forget(scaled.keys())
            for id_, facts in scaled.items():
                known = self._due.get(id_)
                wanted |= {id_} if known is None or known[0] != facts else set()
        made = []
        for page in _pages(sorted(wanted)):
            async with self.db.read() as tx:
                views = await deployments.loads(tx, page)
                demands = await rules.demands(tx, wanted=page)
            for view in views:
                its = [one for one in demands if one.deployment_id == view.deployment.id]
                found = await self._guarded(view, its, now)
                made += [found] if found is not None else []
        return made

    async def _guarded(self, view: View, demands: Sequence[Demand], now: int) -> Decision | None:
        try:
            return await self._one(view, demands, now)
        except TowpathError:
            raise
        except Exception:  # one broken deployment must not stop the others
            log.exception("scaling.failed", deployment=view.deployment.id)
            return None

    async def _one(self, view: View, demands: Sequence[Demand], now: int) -> Decision | None:
        deployment, serving = view.deployment, view.serving
        if deployment.deleting or serving is None or serving.scaling.fixed:
            self._due[deployment.id] = (rules.facts(view), None)
            return None
        scaling = serving.scaling
        kept = self._remembered(view, scaling, demands, now)
        sample = kept.windows.take(scaling.metric, demands, now)
        present = view.size(serving)
        waiting = [one for one in demands if one.waiting and now - one.at_ms <= FRESH_MS]
        wanted = rules.decide(
            scaling, kept.windows, now=now, present=present, waiting=bool(waiting)
        )
        if present == wanted.count == 0 and await self._usual(view, scaling, now):
            wanted = replace(wanted, count=1, why=Why.HABIT)
            kept.windows.busy_ms = max(now, now + rules.HOLD_MS - scaling.idle_ms)
        after = _next(scaling, kept.windows, wanted, present)
        busy = sample.busy or wanted.count != present
        self._due[deployment.id] = (rules.facts(view), now if busy else after)
        # What proves itself is proved whole: none of it goes meanwhile.
        if wanted.count == present or (wanted.count < present and not view.settled):
            kept.limited = None
            return None
        asked = min((one.at_ms for one in waiting), default=None)
        return await self._decide(view, wanted, present, kept, asked)

    def _forget(self, there: Collection[str]) -> None:
        """Forget what is not scaled any more."""
        for known in (self._kept, self._due):
            for gone in known.keys() - there:
                del known[gone]

    def _remembered(
        self, view: View, scaling: Scaling, demands: Sequence[Demand], now: int
    ) -> _Kept:
        kept = self._kept.get(view.deployment.id)
        if kept is None or kept.metric is not scaling.metric:
            spoken = [one.at_ms for one in demands]
            serving = view.serving or view.current
            began = [serving.exposed_at_ms or 0, *(one.created_at_ms for one in view.replicas)]
            busy = kept.windows.busy_ms if kept else max([*spoken, *began])
            kept = _Kept(scaling.metric, Windows(since_ms=now, busy_ms=min(busy, now)))
            self._kept[view.deployment.id] = kept
        return kept

    async def _decide(
        self, view: View, wanted: Wanted, present: int, kept: _Kept, asked: int | None
    ) -> Decision | None:
        scaling = (view.serving or view.current).scaling
        async with self.db.write() as tx:
            fresh = await deployments.load(tx, view.deployment.id)
            if fresh is None or rules.facts(fresh) != rules.facts(view):
                return None
            decision = Decision(
                id=ids.new("scl"),
                deployment_id=view.deployment.id,
                at_ms=tx.now_ms,
                before=present,
                after=wanted.count,
                why=wanted.why,
                metric=scaling.metric,
                target=scaling.target,
                value=round(wanted.value, 3),
                stable=round(wanted.stable, 3),
                least=wanted.least,
                most=scaling.most,
            )
            if wanted.count > present:
                decision = await self._fitted(tx, fresh, decision)
            short = (wanted.count, decision.limited) if decision.limited else None
            if decision.after != present:
                await rules.scale(tx, fresh, decision, asked_at_ms=asked)
                await self._grow(tx, fresh, decision.after)
            elif kept.limited != short:
                await rules.limited(tx, decision)
            else:
                return None
            kept.limited = short
        log.info(
            "deployment.scaled",
            deployment=view.deployment.name,
            environment=view.deployment.environment,
            before=decision.before,
            after=decision.after,
            why=decision.why,
            limited=decision.limited,
        )
        return decision

    async def _usual(self, view: View, scaling: Scaling, now: int) -> bool:
        async with self.db.read() as tx:
            return await rules.usual(tx, view, scaling, now)

    async def _grow(self, tx: Tx, view: View, scale: int) -> None:
        """Declare what is missing at once: who waits need not wait for the loop's own look."""
        grown = replace(view, deployment=replace(view.deployment, scale=scale))
        if grown.serving is not None and grown.settled:
            await deployments.grow(tx, grown, grown.serving)

    async def _fitted(self, tx: Tx, view: View, decision: Decision) -> Decision:
        """Lower a decision to what there is room for."""
        await revision.hold(tx)
        machine = await self.facilities.servers.capacity()
        found = await rules.room(tx, view, self.facilities, machine)
        if found.count >= decision.after:
            return decision
        after = max(decision.before, found.count)
        return replace(decision, after=after, limited=found.limit)


class ScalingLoop:
    """Runs the scaler, as long as this instance holds the lease."""

    def __init__(self, scaler: Scaler, lease: Lease) -> None:
        self._scaler = scaler
        self._lease = lease
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Look at once: somebody waits."""
        self._wake.set()

    async def run(self) -> None:
        """Look every second, until cancelled."""
        while True:
            self._wake.clear()
            try:
                if await self._lease.held():
                    await self._scaler.look()
            except TowpathError as error:  # the database is away; what runs goes on meanwhile
                log.warning("scaling.interrupted", code=error.code, **error.log)
            except Exception:  # the loop outlives what nobody foresaw
                log.exception("scaling.failed")
            try:
                async with asyncio.timeout(TICK_S):
                    await self._wake.wait()
            except TimeoutError:
                continue


def _next(scaling: Scaling, windows: Windows, wanted: Wanted, present: int) -> int | None:
    """Return when what is quiet is to be looked at again; none: once something is said of it."""
    if present > max(1, wanted.least):
        return windows.samples[-1].at_ms
    sleeps = [windows.busy_ms + scaling.idle_ms] if present > wanted.least else []
    if present == 0 and scaling.prewarm:
        sleeps = [windows.samples[-1].at_ms + _HABIT_MS]
    by_the_clock = [windows.samples[-1].at_ms + _WHOLE_MS] if scaling.schedule else []
    return min([*sleeps, *by_the_clock], default=None)


def _pages(found: Collection[str]) -> list[list[str]]:
    listed = list(found)
    return [listed[start : start + _PAGE] for start in range(0, len(listed), _PAGE)]
