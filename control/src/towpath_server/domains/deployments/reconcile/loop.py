"""Composes the loop that keeps the models of this machine as they were declared."""

from collections.abc import Sequence

from towpath_server.adapters.facilities import Facilities
from towpath_server.core.clock import to_ms
from towpath_server.core.db import Database
from towpath_server.domains.deployments import service as deployments
from towpath_server.domains.deployments.reconcile.step import Reconciler
from towpath_server.domains.nodes import service as nodes
from towpath_server.loops.lease import Lease
from towpath_server.loops.reconcile import Kind, ReconcileLoop

_HEARTBEAT_MS = 15_000  # a node counts as gone after three


class _Heart:
    """Says that this machine is there, and lets go of what is kept no longer."""

    def __init__(self, db: Database, facilities: Facilities) -> None:
        self._db = db
        self._compute = facilities.servers
        self._next_ms = 0

    async def pending(self) -> Sequence[str]:
        return ["this machine"] if to_ms(self._db.clock.now()) >= self._next_ms else []

    async def beat(self, _name: str) -> bool:
        capacity = await self._compute.capacity()
        async with self._db.write() as tx:
            used = {one.replica for one in capacity.use.gpus.values() if one.replica}
            await nodes.heartbeat(tx, capacity, await deployments.holders(tx, used))
            await deployments.forget_events(tx)
            self._next_ms = tx.now_ms + _HEARTBEAT_MS
        return False


class _Expiry:
    """
    Takes away what has stayed in the sandbox for its time.

    Its ids are its own: what keeps a deployment from going must not keep its replicas waiting.
    """

    _OWN = "expiry:"

    def __init__(self, db: Database, facilities: Facilities) -> None:
        self._db = db
        self._facilities = facilities

    async def pending(self) -> Sequence[str]:
        async with self._db.read() as tx:
            return [self._OWN + due for due in await deployments.due(tx, self._facilities)]

    async def step(self, resource: str) -> bool:
        async with self._db.write() as tx:
            await deployments.expire(
                tx, resource.removeprefix(self._OWN), notify=self._facilities.notify
            )
        return False


def loop(db: Database, facilities: Facilities, *, holder: str) -> ReconcileLoop:
    """
    Make the loop; run it in a task of its own, after `facilities.servers.start()`.

    Args:
        holder: Name of this instance, the same after a restart.
    """
    reconciler = Reconciler(db, facilities, facilities.servers)
    heart = _Heart(db, facilities)
    expiry = _Expiry(db, facilities)
    made = ReconcileLoop(
        Lease(db, "deployments", holder),
        [
            Kind("node", heart.pending, heart.beat),
            Kind("expiry", expiry.pending, expiry.step),
            Kind(
                "deployment", reconciler.pending, reconciler.step, reconciler.moving, prefix="dep_"
            ),
            Kind("replica", reconciler.stray, reconciler.end_stray),
        ],
    )
    reconciler.fetches.arrived = made.wake
    reconciler.endings.over = lambda replica: made.wake(reconciler.owner(replica))
    facilities.servers.on_change(lambda replica: made.wake(reconciler.owner(replica)))
    return made
