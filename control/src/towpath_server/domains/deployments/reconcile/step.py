"""
One step of one deployment.

Desired and observed state are compared anew each time; what a step does may be done twice, and a
crash between any two leaves what the next look completes.
"""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path

from towpath_server.adapters.compute import Compute, Observation
from towpath_server.adapters.facilities import Facilities
from towpath_server.core.clock import to_ms
from towpath_server.core.db import Database
from towpath_server.core.errors import TowpathError
from towpath_server.domains.deployments import service as deployments
from towpath_server.domains.deployments.models import (
    Phase,
    Replica,
    ReplicaState,
    Revision,
    View,
)
from towpath_server.domains.deployments.models.rollout import Evidence
from towpath_server.domains.deployments.reconcile import conditions, launch, rolling
from towpath_server.domains.deployments.reconcile.conditions import Looked
from towpath_server.domains.deployments.reconcile.endings import Endings
from towpath_server.domains.deployments.reconcile.fetch import Fetches
from towpath_server.domains.deployments.service.rollouts import Kind, decide
from towpath_server.domains.evaluations.models import Judgement
from towpath_server.domains.runtimes import service as runtimes

_PAGE = 100  # deployments that are read at once
# A step also says that the files are needed: the cache keeps them twice as long after that.
_REST_S = 300


class Reconciler:
    """Brings deployments and the processes of this machine together."""

    def __init__(self, db: Database, facilities: Facilities, compute: Compute) -> None:
        self._db = db
        self._facilities = facilities
        self._compute = compute
        self.fetches = Fetches(facilities.artifacts)
        self.endings = Endings(compute)
        self._placed: dict[str, str] = {}
        """Workload that each replica was placed with by this program."""
        self._owners: dict[str, str] = {}
        self._settled: dict[str, tuple[View, float]] = {}
        """Deployments as they were when a step found nothing to do, and when that was."""

    async def pending(self) -> Sequence[str]:
        """Return every deployment, but those that are as they were when nothing was left to do."""
        async with self._db.read() as tx:
            ids = await deployments.pending(tx)
        due = []
        for first in range(0, len(ids), _PAGE):
            page = ids[first : first + _PAGE]
            async with self._db.read() as tx:
                views = {view.deployment.id: view for view in await deployments.loads(tx, page)}
            due += [id_ for id_ in page if id_ not in views or not self._at_rest(views[id_])]
        for gone in self._settled.keys() - set(ids):
            del self._settled[gone]
        return due

    def _at_rest(self, view: View) -> bool:
        """Tell whether a step would find what the last one found: ready, and all of it running."""
        settled, since = self._settled.get(view.deployment.id, (None, 0.0))
        known = view.deployment.phase in {Phase.READY, Phase.IDLE} and settled == view
        lately = time.monotonic() - since < _REST_S
        return (
            known
            and lately
            and all(
                replica.id in self._placed
                and not replica.retiring
                and (seen := self._compute.observe(replica.id)) is not None
                and _observed(replica, seen) == replica
                for replica in view.replicas
            )
        )

    async def moving(self) -> Sequence[str]:
        """Return those that are not as they should be, or were not when they were looked at."""
        async with self._db.read() as tx:
            return await deployments.moving(tx)

    def owner(self, replica_id: str) -> str | None:
        """Return the deployment of a replica that was placed by this program."""
        return self._owners.get(replica_id)

    async def step(self, deployment_id: str) -> bool:
        """Take one step; tell whether there was one to take."""
        async with self._db.read() as tx:
            view = await deployments.load(tx, deployment_id)
        if view is None:
            return False
        if view.deployment.deleting:
            return await self._take_away(view)
        fetch, launching = await self._run(view)
        judged = await self._judge(view)
        evidence = await self._counted(view)
        takes: Sequence[Callable[[], Awaitable[bool]]] = (
            lambda: self._observe(view),
            lambda: self._grow(view, fetch),
            lambda: self._try(view),
            lambda: self._roll(view, judged, evidence),
            lambda: self._switch(view, judged),
            lambda: self._shrink(view),
            lambda: self._end_retired(view),
            lambda: self._conclude(view, Looked(fetch, launching, judged, evidence)),
        )
        for take in takes:
            if await take():
                return True
        self._settled[deployment_id] = (view, time.monotonic())
        return False

    async def stray(self) -> Sequence[str]:
        """Return replicas that run here and that nobody declared any more."""
        async with self._db.read() as tx:
            known = await deployments.known_replicas(tx)
        return sorted(self._compute.ids() - known)

    async def end_stray(self, replica_id: str) -> bool:
        """End a replica that nobody declared."""
        if await self.endings.ended(replica_id):
            self._forget(replica_id)
        return False

    def _forget(self, replica_id: str) -> None:
        self._placed.pop(replica_id, None)
        self._owners.pop(replica_id, None)

    async def _run(self, view: View) -> tuple[TowpathError | None, TowpathError | None]:
        """Have every declared replica's process kept running; say what prevents that."""
        fetch: TowpathError | None = None
        launching: TowpathError | None = None
        for revision in _revisions(view):
            try:
                folder = await self.fetches.folder(view.deployment.id, revision.workload.files)
            except TowpathError as error:
                fetch = error if revision is view.current else fetch
                continue
            for replica in view.of(revision.number):
                try:
                    await self._ensure(view, revision, replica, folder)
                except TowpathError as error:
                    launching = error if revision is view.current else launching
        return fetch, launching

    async def _ensure(self, view: View, revision: Revision, replica: Replica, folder: Path) -> None:
        self._owners[replica.id] = view.deployment.id
        kept = self._compute.observe(replica.id) is not None
        if kept and self._placed.get(replica.id) == revision.workload.digest:
            return
        async with self._db.read() as tx:
            secret = await deployments.secret_of(tx, replica)
        if secret is None:  # it was taken away since the view was read
            return
        wanted = launch.spec(
            runtimes.catalog(self._facilities.runtimes_dir),
            revision,
            replica,
            name=view.deployment.name,
            folder=folder,
            secret=secret,
        )
        await self._compute.place(wanted)
        self._placed[replica.id] = revision.workload.digest

    async def _observe(self, view: View) -> bool:
        """Write what has changed of the replicas that run."""
        changed = []
        for replica in view.replicas:
            seen = self._compute.observe(replica.id)
            now = _observed(replica, seen)
            if now != replica:
                changed.append((replica, now, seen.load_ms if seen else None))
        if not changed:
            return False
        async with self._db.write() as tx:
            for former, now, load_ms in changed:
                await deployments.replica_changed(tx, view, former, now, engine_ms=load_ms)
        return True

    async def _grow(self, view: View, fetch: TowpathError | None) -> bool:
        """Declare the replicas that are missing."""
        if fetch is not None:
            return False
        for revision in _revisions(view):
            if not view.missing(revision):
                continue
            async with self._db.write() as tx:
                fresh = await deployments.load(tx, view.deployment.id)
                if fresh is not None and fresh == view:
                    await deployments.grow(tx, fresh, revision)
            return True
        return False

    async def _judge(self, view: View) -> Sequence[Judgement]:
        """Ask what the gates come to, once nothing else stands before the traffic."""
        current = view.current
        asked = current.proving.gates and current.proved_by is None
        if not asked or view.settled or not view.able or not view.tested:
            return ()
        async with self._db.read() as tx:
            return await deployments.judged(tx, view)

    async def _try(self, view: View) -> bool:
        """Ask for the smoke tests of the newest revision once it could serve."""
        if view.settled or view.tested or view.trial is not None or not view.able:
            return False
        async with self._db.write() as tx:
            fresh = await deployments.load(tx, view.deployment.id)
            if fresh is not None and fresh == view:
                await deployments.open_trial(tx, fresh)
        return True

    async def _counted(self, view: View) -> Evidence:
        """Return what was counted since the rollout of the newest revision was declared."""
        if view.rollout is None or not view.rollout.open:
            return Evidence()
        async with self._db.read() as tx:
            return await deployments.counted(tx, view)

    async def _roll(self, view: View, judged: Sequence[Judgement], evidence: Evidence) -> bool:
        """Let the newest revision take over step by step, or what serves go on alone."""
        rollout = view.rollout
        if rollout is None or not rollout.open:
            return False
        found = decide(
            view,
            evidence.since(rollout.base),
            rolling.trouble(view, judged),
            proved=rolling.proved(view, judged),
            now_ms=to_ms(self._db.clock.now()),
        )
        if found is None:
            return False
        async with self._db.write() as tx:
            fresh = await deployments.load(tx, view.deployment.id)
            if fresh is not None and fresh == view:
                if found.kind is Kind.COMPLETE:
                    await deployments.expose(tx, fresh)
                else:
                    await deployments.roll(tx, fresh, found, evidence)
        return True

    async def _switch(self, view: View, judged: Sequence[Judgement]) -> bool:
        """Give the traffic to the newest revision once it could serve and has proved itself."""
        if view.settled or view.rollout is not None:
            return False
        if not view.able or not rolling.proved(view, judged):
            return False
        async with self._db.write() as tx:
            fresh = await deployments.load(tx, view.deployment.id)
            if fresh is not None and fresh == view:
                await deployments.expose(tx, fresh)
        return True

    async def _shrink(self, view: View) -> bool:
        """Take what the newest revision has replaced, or has too much of, out of the traffic."""
        surplus = [
            replica
            for replica in view.replicas
            if not replica.retiring and not _wanted(view, replica)
        ]
        if not surplus:
            return False
        async with self._db.write() as tx:
            for replica in surplus:
                took = replica.number == view.deployment.serving and replica.ready
                former = view.deployment.serving != replica.number and replica.ready
                after = deployments.DRAIN_MS if took or former else 0
                await deployments.retire(tx, replica, after_ms=after)
        return True

    async def _end_retired(self, view: View) -> bool:
        """End the replicas that take no traffic any more."""
        now = to_ms(self._db.clock.now())
        due = [
            replica
            for replica in view.replicas
            if replica.retire_at_ms is not None and replica.retire_at_ms <= now
        ]
        over = await asyncio.gather(*(self.endings.ended(replica.id) for replica in due))
        for replica in itertools.compress(due, over):
            self._forget(replica.id)
            async with self._db.write() as tx:
                await deployments.forget_replica(tx, replica)
        return any(over)

    async def _take_away(self, view: View) -> bool:
        if await self._end_retired(view):
            return True
        async with self._db.write() as tx:
            fresh = await deployments.load(tx, view.deployment.id)
            if fresh is None:
                return False
            for replica in fresh.replicas:
                if await deployments.retire(tx, replica, after_ms=0):
                    return True
            if fresh.replicas:
                return False
            await deployments.forget(tx, fresh.deployment)
        return True

    async def _conclude(self, view: View, looked: Looked) -> bool:
        verdict = conditions.judge(view, looked, now_ms=to_ms(self._db.clock.now()))
        deployment = view.deployment
        if verdict.phase is deployment.phase and _same(verdict.conditions, view):
            return False
        async with self._db.write() as tx:
            fresh = await deployments.load(tx, deployment.id)
            if fresh is None or fresh != view:
                return True
            return await deployments.conclude(
                tx, fresh, verdict.phase, verdict.conditions, verdict.note
            )


def _revisions(view: View) -> Sequence[Revision]:
    serving = view.serving
    if serving is None or serving.number == view.current.number:
        return [view.current]
    return [serving] if view.rolled_back else [serving, view.current]


def _wanted(view: View, replica: Replica) -> bool:
    # What serves stays until the newest revision has taken over.
    return any(
        replica.number == revision.number and replica.ordinal < view.wanted(revision)
        for revision in _revisions(view)
    )


def _observed(replica: Replica, seen: Observation | None) -> Replica:
    if seen is None:
        return replica
    return replace(
        replica,
        state=ReplicaState(seen.state),
        address=seen.address,
        restarts=seen.restarts,
        crashes=seen.crashes,
        reason=seen.reason,
        message=seen.message,
        gpus=seen.gpus,
        isolation=seen.isolation,
    )


def _same(found: Sequence[conditions.Condition], view: View) -> bool:
    known = view.deployment.conditions
    return [replace(c, changed_at_ms=0) for c in found] == [
        replace(c, changed_at_ms=0) for c in known
    ]
