"""The reconcile loop: woken for one resource, and looking at everything only now and then."""

import asyncio
from collections.abc import Sequence

from towpath_server.core.db import Database
from towpath_server.loops.lease import Lease
from towpath_server.loops.reconcile import Kind, ReconcileLoop


class Things:
    """Resources that count how often each was looked at."""

    def __init__(self, *ids: str) -> None:
        self._ids = ids
        self.looked: list[str] = []
        self.fails: set[str] = set()
        self._changed = asyncio.Event()

    async def all(self) -> Sequence[str]:
        return self._ids

    async def step(self, resource: str) -> bool:
        self.looked.append(resource)
        self._changed.set()
        if resource in self.fails:
            self.fails.remove(resource)
            raise RuntimeError("it is broken for once")
        return False

    async def until(self, count: int) -> list[str]:
        async with asyncio.timeout(10):
            while len(self.looked) < count:
                self._changed.clear()
                await self._changed.wait()
        return self.looked


def _loop(db: Database, things: Things) -> ReconcileLoop:
    async def none() -> Sequence[str]:
        return []

    kind = Kind("thing", things.all, things.step, none, prefix="thg_")
    return ReconcileLoop(Lease(db, "things", "here"), [kind])


async def test_a_change_is_looked_at_by_itself(db: Database) -> None:
    things = Things("thg_1", "thg_2", "thg_3")
    loop = _loop(db, things)
    running = asyncio.create_task(loop.run())
    await things.until(3)

    loop.wake("other_1")
    loop.wake("thg_2")
    seen = await things.until(4)

    running.cancel()
    assert seen == ["thg_1", "thg_2", "thg_3", "thg_2"]


async def test_what_failed_is_tried_again_without_the_others(db: Database) -> None:
    things = Things("thg_1", "thg_2")
    things.fails.add("thg_1")
    running = asyncio.create_task(_loop(db, things).run())

    seen = await things.until(3)

    running.cancel()
    assert seen == ["thg_1", "thg_2", "thg_1"]


async def test_a_wake_up_for_everything_looks_at_everything(db: Database) -> None:
    things = Things("thg_1", "thg_2")
    loop = _loop(db, things)
    running = asyncio.create_task(loop.run())
    await things.until(2)

    loop.wake()
    seen = await things.until(4)

    running.cancel()
    assert seen == ["thg_1", "thg_2", "thg_1", "thg_2"]
