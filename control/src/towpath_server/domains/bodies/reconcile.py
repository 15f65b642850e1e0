"""The loop that forgets bodies whose time is over."""

from collections.abc import Sequence

from towpath_server.adapters.objectstore.store import ArtifactStore
from towpath_server.core.db import Database
from towpath_server.domains.bodies import service as bodies
from towpath_server.loops.lease import Lease
from towpath_server.loops.reconcile import Kind, ReconcileLoop

INTERVAL_S = 600.0  # days are what people set; ten minutes more are not noticed


def loop(db: Database, blobs: ArtifactStore, *, holder: str) -> ReconcileLoop:
    """Make the loop; run it in a task of its own."""

    async def pending() -> Sequence[str]:
        return ["bodies"]

    async def step(_: str) -> bool:
        await bodies.sweep(db, blobs)
        return False

    return ReconcileLoop(
        Lease(db, "bodies", holder), [Kind("bodies", pending, step)], interval_s=INTERVAL_S
    )
