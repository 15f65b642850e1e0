"""The loop that runs batches: oldest first, a few at a time, on the one instance with the lease."""

import asyncio

from towpath_server.core import log as logging
from towpath_server.core.errors import ConcurrentChange, TowpathError
from towpath_server.domains.batches.reconcile.runner import Runner
from towpath_server.domains.batches.service import moves
from towpath_server.domains.files import service as files
from towpath_server.domains.keys.service import standins
from towpath_server.loops.lease import Lease

log = logging.get(__name__)

INTERVAL_S = 1.0  # how soon a new batch begins
_LOOK_S = 5.0  # where the database's files tell that nobody has committed
_SWEEP_S = 600.0
_RETRY_S = 5.0  # before a batch whose step failed is looked at again


class BatchLoop:
    """Runs batches as long as this instance holds the lease."""

    def __init__(self, runner: Runner, lease: Lease, *, interval_s: float = INTERVAL_S) -> None:
        self._runner = runner
        self._lease = lease
        self._interval_s = interval_s
        self._running: dict[str, asyncio.Task[None]] = {}
        self._swept_at = -_SWEEP_S
        self._seen: object = None
        self._look_at = 0.0

    async def run(self) -> None:
        """Run batches until cancelled."""
        try:
            while True:
                await self.round()
                await asyncio.sleep(self._interval_s)
        finally:
            await self._stop()

    async def round(self) -> None:
        """Begin what is to run; stop everything when the lease is another's."""
        try:
            if not await self._lease.held():
                await self._stop()
                return
            await self._sweep()
            stamp, now = self._runner.db.stamp(), asyncio.get_running_loop().time()
            if stamp is not None and stamp == self._seen and now < self._look_at:
                return
            self._seen, self._look_at = stamp, now + _LOOK_S
            async with self._runner.db.read() as tx:
                found = await moves.active(tx, limit=self._runner.limits.parallel)
        except TowpathError as error:  # the database is away
            log.warning("batches.interrupted", code=error.code, **error.log)
            return
        for batch in found:
            if batch.id not in self._running:
                task = asyncio.create_task(self._settle(batch.id))
                self._running[batch.id] = task
                task.add_done_callback(lambda _, id_=batch.id: self._running.pop(id_, None))

    async def _settle(self, id: str) -> None:  # noqa: A002
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

    async def _sweep(self) -> None:
        """Clear away stand-ins and files whose time is over, and bytes that no file has."""
        now = asyncio.get_running_loop().time()
        if now - self._swept_at < _SWEEP_S:
            return
        self._swept_at = now
        async with self._runner.db.write() as tx:
            await standins.withdraw(tx)
        gone = await files.sweep(self._runner.db, self._runner.blobs)
        log.debug("files.swept", gone=gone)

    async def _stop(self) -> None:
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
