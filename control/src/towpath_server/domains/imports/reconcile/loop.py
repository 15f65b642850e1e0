"""The loop that runs imports: oldest first, a few at a time, on the one instance with the lease."""

import asyncio

from towpath_server.core import log as logging
from towpath_server.core.errors import ConcurrentChange, TowpathError
from towpath_server.domains.imports.reconcile.runner import Runner
from towpath_server.domains.imports.service import moves
from towpath_server.loops.lease import Lease

log = logging.get(__name__)

INTERVAL_S = 0.5  # how soon one begins: whoever deploys a small model waits for it
PARALLEL = 2  # more would take the line from each other
_LOOK_S = 5.0  # where the database's files tell that nobody has committed
_SWEEP_S = 3_600.0


class ImportLoop:
    """Runs imports as long as this instance holds the lease."""

    def __init__(self, runner: Runner, lease: Lease, *, interval_s: float = INTERVAL_S) -> None:
        self._runner = runner
        self._lease = lease
        self._interval_s = interval_s
        self._running: dict[str, asyncio.Task[None]] = {}
        self._swept_at = -_SWEEP_S
        self._seen: object = None
        self._look_at = 0.0

    async def run(self) -> None:
        """Run imports until cancelled."""
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
                found = await moves.due(tx, limit=PARALLEL)
        except TowpathError as error:  # the database is away
            log.warning("imports.interrupted", code=error.code, **error.log)
            return
        for one in found:
            room = one.cancelled or len(self._running) < PARALLEL
            if room and one.id not in self._running:
                task = asyncio.create_task(self._settle(one.id))
                self._running[one.id] = task
                task.add_done_callback(lambda _, id_=one.id: self._running.pop(id_, None))

    async def settled(self) -> None:
        """Wait until all that was begun has come as far as it goes now; for tests."""
        await asyncio.gather(*self._running.values())

    async def _settle(self, id: str) -> None:  # noqa: A002
        """Take the steps of one import until there is none left for now."""
        try:
            while await self._step(id):
                continue
        except TowpathError as error:  # the database is away: the next look goes on
            log.warning("import.interrupted", id=id, code=error.code, **error.log)
        finally:
            self._seen = None  # there is room for the next one

    async def _step(self, id: str) -> bool:  # noqa: A002
        try:
            return await self._runner.step(id)
        except ConcurrentChange:
            return True  # a caller cancelled it meanwhile, say: read it anew
        except TowpathError:
            raise
        except Exception as error:  # one broken import must not stop the others
            log.exception("import.step_failed", id=id)
            await self._runner.failed(id, error)
            return True

    async def _sweep(self) -> None:
        """Forget what ended long ago."""
        now = asyncio.get_running_loop().time()
        if now - self._swept_at < _SWEEP_S:
            return
        self._swept_at = now
        async with self._runner.db.write() as tx:
            await moves.sweep(tx)

    async def _stop(self) -> None:
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
