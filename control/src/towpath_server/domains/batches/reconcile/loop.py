"""The loop that runs batches: oldest first, a few at a time, on the one instance with the lease."""

import asyncio
from collections.abc import Sequence

from towpath_server.core import log as logging
from towpath_server.core.db import Tx
from towpath_server.core.errors import ConcurrentChange
from towpath_server.domains.batches.reconcile.runner import Runner
from towpath_server.domains.batches.service import moves
from towpath_server.domains.files import service as files
from towpath_server.domains.keys.service import standins
from towpath_server.loops.jobs import JobLoop
from towpath_server.loops.lease import Lease

log = logging.get(__name__)

INTERVAL_S = 1.0  # how soon a new batch begins
_SWEEP_S = 600.0
_RETRY_S = 5.0  # before a batch whose step failed is looked at again


class BatchLoop(JobLoop):
    """Runs batches as long as this instance holds the lease."""

    def __init__(self, runner: Runner, lease: Lease, *, interval_s: float = INTERVAL_S) -> None:
        super().__init__(runner.db, lease, name="batches", interval_s=interval_s, sweep_s=_SWEEP_S)
        self._runner = runner

    async def due(self, tx: Tx) -> Sequence[str]:
        """Return the oldest batches that have not ended."""
        found = await moves.active(tx, limit=self._runner.limits.parallel)
        return [batch.id for batch in found]

    async def settle(self, id: str) -> None:  # noqa: A002
        """Take the steps of one batch until there is none left."""
        try:
            while True:
                try:
                    if not await self._runner.step(id):
                        return
                except ConcurrentChange:
                    continue  # a caller cancelled it meanwhile, say: read it anew
        except Exception:  # one broken batch must not stop the others
            log.exception("batch.step_failed", batch=id)
            await asyncio.sleep(_RETRY_S)

    async def sweep(self) -> None:
        """Clear away stand-ins and files whose time is over, and bytes that no file has."""
        async with self._runner.db.write() as tx:
            await standins.withdraw(tx)
        gone = await files.sweep(self._runner.db, self._runner.blobs)
        log.debug("files.swept", gone=gone)
