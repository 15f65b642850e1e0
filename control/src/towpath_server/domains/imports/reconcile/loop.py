"""The loop that runs imports: oldest first, a few at a time, on the one instance with the lease."""

from collections.abc import Sequence

from towpath_server.core import log as logging
from towpath_server.core.db import Tx
from towpath_server.core.errors import ConcurrentChange, TowpathError
from towpath_server.domains.imports.reconcile.runner import Runner
from towpath_server.domains.imports.service import moves
from towpath_server.loops.jobs import JobLoop
from towpath_server.loops.lease import Lease

log = logging.get(__name__)

INTERVAL_S = 0.5  # how soon one begins: whoever deploys a small model waits for it
PARALLEL = 2  # more would take the line from each other
_SWEEP_S = 3_600.0


class ImportLoop(JobLoop):
    """Runs imports as long as this instance holds the lease."""

    def __init__(self, runner: Runner, lease: Lease, *, interval_s: float = INTERVAL_S) -> None:
        super().__init__(runner.db, lease, name="imports", interval_s=interval_s, sweep_s=_SWEEP_S)
        self._runner = runner

    async def due(self, tx: Tx) -> Sequence[str]:
        """Return the oldest imports there is room for, and all that were cancelled."""
        found = [one for one in await moves.due(tx, limit=PARALLEL) if not self.runs(one.id)]
        waiting = [one.id for one in found if not one.cancelled]
        return [*(one.id for one in found if one.cancelled), *waiting[: self.room(PARALLEL)]]

    async def settle(self, id: str) -> None:  # noqa: A002
        """Take the steps of one import until there is none left for now."""
        try:
            while await self._step(id):
                continue
        except TowpathError as error:  # the database is away: the next look goes on
            log.warning("import.interrupted", id=id, code=error.code, **error.log)
        finally:
            self.look_again()  # there is room for the next one

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

    async def sweep(self) -> None:
        """Forget what ended long ago."""
        async with self._runner.db.write() as tx:
            await moves.sweep(tx)
