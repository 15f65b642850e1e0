"""
Slow work that a transaction turns out to need, done before it and outside of any.

A use case finds within its transaction that something slow has to be known first, raises
`Deferred`, and is run again when that is done: nobody waits for a transaction that waits for a
disk.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from towpath_server.core.db import Database, Tx
from towpath_server.core.errors import Unavailable

MOST = 4  # attempts at one use case; what each leaves is found by the next

Work = Callable[[Database], Awaitable[None]]
T = TypeVar("T")


class Deferred(Exception):
    """Roll this transaction back, do `work`, and begin anew."""

    def __init__(self, work: Work) -> None:
        super().__init__("something slow has to be done first")
        self.work = work


async def attempt(db: Database, run: Callable[[], Awaitable[T]]) -> T:
    """
    Run what opens a transaction of its own, as often as it defers.

    Raises:
        Unavailable: It always wants something more.
    """
    for _ in range(MOST):
        try:
            return await run()
        except Deferred as waiting:
            await waiting.work(db)
    raise Unavailable("What the request waits for was done, and is gone again.")


async def write(db: Database, use: Callable[[Tx], Awaitable[T]]) -> T:
    """Run a use case in a transaction that writes; see `attempt`."""

    async def run() -> T:
        async with db.write() as tx:
            return await use(tx)

    return await attempt(db, run)
