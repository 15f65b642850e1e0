"""Ending replicas, in tasks of their own: one that takes its time holds up no other."""

import asyncio
from collections.abc import Callable

from towpath_server.adapters.compute import Compute

_PATIENCE_S = 0.05  # most end at once; for anything else the loop is called when it is over


class Endings:
    """Replicas that are being ended."""

    def __init__(self, compute: Compute) -> None:
        self._compute = compute
        self._running: dict[str, asyncio.Task[None]] = {}
        self.over: Callable[[str], None] = lambda _replica: None
        """Hears which replica has ended that was not over at once."""

    @property
    def running(self) -> bool:
        """Whether any replica is being ended."""
        return any(not task.done() for task in self._running.values())

    async def ended(self, replica_id: str) -> bool:
        """
        End a replica, or go on with it; tell whether it is over.

        Raises:
            Exception: What kept it from being ended; the next call tries again.
        """
        task = self._running.get(replica_id)
        if task is None:
            task = asyncio.create_task(self._end(replica_id), name=f"end {replica_id}")
            self._running[replica_id] = task
            await asyncio.wait([task], timeout=_PATIENCE_S)
            if not task.done():
                task.add_done_callback(lambda _: self.over(replica_id))
        if not task.done():
            return False
        del self._running[replica_id]
        task.result()
        return True

    async def _end(self, replica_id: str) -> None:
        await self._compute.remove(replica_id)
