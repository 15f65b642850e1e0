"""Composes the loop that keeps the models of this machine as they were declared."""

from collections.abc import Sequence

from towpath_server.adapters.facilities import Facilities
from towpath_server.adapters.localhost.replicas import LocalReplicas
from towpath_server.core.db import Database
from towpath_server.domains.deployments.reconcile.step import Reconciler
from towpath_server.domains.nodes import service as nodes
from towpath_server.loops.lease import Lease
from towpath_server.loops.reconcile import Kind, ReconcileLoop

_HEARTBEAT_MS = 15_000  # a node counts as gone after three


class _Heart:
    """Says that this machine is there."""

    def __init__(self, db: Database, facilities: Facilities) -> None:
        self._db = db
        self._machine = nodes.this_machine(facilities.compute.threads)
        self._next_ms = 0

    async def pending(self) -> Sequence[str]:
        async with self._db.read() as tx:
            return [self._machine.name] if tx.now_ms >= self._next_ms else []

    async def beat(self, _name: str) -> bool:
        async with self._db.write() as tx:
            await nodes.heartbeat(tx, self._machine)
            self._next_ms = tx.now_ms + _HEARTBEAT_MS
        return False


def loop(
    db: Database, facilities: Facilities, replicas: LocalReplicas, *, holder: str
) -> ReconcileLoop:
    """
    Make the loop; run it in a task of its own, after `replicas.start()`.

    Args:
        holder: Name of this instance, the same after a restart.
    """
    reconciler = Reconciler(db, facilities, replicas)
    heart = _Heart(db, facilities)
    made = ReconcileLoop(
        Lease(db, "deployments", holder),
        [
            Kind("node", heart.pending, heart.beat),
            Kind("deployment", reconciler.pending, reconciler.step),
            Kind("replica", reconciler.stray, reconciler.end_stray),
        ],
    )
    replicas.on_change(lambda _replica: made.wake())
    return made
