"""A loop that runs long jobs: a few at a time, on the one instance with the lease."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence

from towpath_server.core import log as logging
from towpath_server.core.db import Database, Tx
from towpath_server.core.errors import TowpathError
from towpath_server.loops.lease import Lease

log = logging.get(__name__)

_LOOK_S = 5.0  # where the database's files tell that nobody has committed


class JobLoop(ABC):
    """
    Runs each job in a task of its own, as long as this instance holds the lease.

    Args:
        name: Of the jobs, for the log.
        sweep_s: How often what is over is cleared away.
    """

    def __init__(
        self, db: Database, lease: Lease, *, name: str, interval_s: float, sweep_s: float
    ) -> None:
        self._db = db
        self._lease = lease
        self._name = name
        self._interval_s = interval_s
        self._sweep_s = sweep_s
        self._swept_at = -sweep_s
        self._running: dict[str, asyncio.Task[None]] = {}
        self._seen: object = None
        self._look_at = 0.0

    @abstractmethod
    async def due(self, tx: Tx) -> Sequence[str]:
        """Return the ids of jobs that are to run now."""

    @abstractmethod
    async def settle(self, id: str) -> None:  # noqa: A002
        """Take a job as far as it goes now; never raise but when cancelled."""

    @abstractmethod
    async def sweep(self) -> None:
        """Clear away what is over."""

    async def run(self) -> None:
        """Run jobs until cancelled."""
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
            now = asyncio.get_running_loop().time()
            if now - self._swept_at >= self._sweep_s:
                self._swept_at = now
                await self.sweep()
            stamp = self._db.stamp()
            if stamp is not None and stamp == self._seen and now < self._look_at:
                return
            self._seen, self._look_at = stamp, now + _LOOK_S
            async with self._db.read() as tx:
                found = await self.due(tx)
        except TowpathError as error:  # the database is away
            log.warning("jobs.interrupted", jobs=self._name, code=error.code, **error.log)
            return
        for job in found:
            if job not in self._running:
                task = asyncio.create_task(self.settle(job))
                self._running[job] = task
                task.add_done_callback(lambda _, id_=job: self._running.pop(id_, None))

    async def settled(self) -> None:
        """Wait until all that was begun has come as far as it goes now; for tests."""
        await asyncio.gather(*self._running.values())

    def look_again(self) -> None:
        """Ask for what is due at the next round, whether anything was committed or not."""
        self._seen = None

    def room(self, most: int) -> int:
        """Return how many more jobs may be begun of at most so many at a time."""
        return max(0, most - len(self._running))

    def runs(self, id: str) -> bool:  # noqa: A002
        """Tell whether a job is under way here."""
        return id in self._running

    async def _stop(self) -> None:
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
