"""The loop that removes what nothing needs."""

from collections.abc import Sequence

from towpath_server.core.access import SYSTEM
from towpath_server.domains.artifacts import service as artifacts
from towpath_server.domains.artifacts.models import Depot
from towpath_server.loops.lease import Lease
from towpath_server.loops.reconcile import Kind, ReconcileLoop

INTERVAL_S = 3_600.0  # what nothing needs stays for a day anyway; listing a large store takes long


def loop(depot: Depot, *, holder: str) -> ReconcileLoop:
    """Make the loop; run it in a task of its own."""

    async def pending() -> Sequence[str]:
        return ["artifacts"]

    async def step(_: str) -> bool:
        await artifacts.collect(depot, SYSTEM)
        return False

    return ReconcileLoop(
        Lease(depot.db, "artifacts", holder),
        [Kind("artifacts", pending, step)],
        interval_s=INTERVAL_S,
    )
