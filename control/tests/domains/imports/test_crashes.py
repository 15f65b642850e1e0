"""An import is killed around each of its actions, the disk fills, a sweep comes in between."""

import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from imports import ImportWorld, digest_of

from towpath_server.adapters.objectstore.errors import StorageFull
from towpath_server.core.access import SYSTEM
from towpath_server.core.db import Database, Tx
from towpath_server.domains.artifacts import service as artifacts
from towpath_server.domains.artifacts.models import Depot
from towpath_server.domains.imports.reconcile import ImportLoop
from towpath_server.domains.imports.service import moves
from towpath_server.loops.lease import Lease

LARGE = bytes(9 << 20)
WRITES = ("listed", "begun", "stored", "fetched", "register")
STORE = ("put", "take", "append", "finish", "discard")


_written = ContextVar("written", default="")  # files come side by side, each in its own task


class Killed(BaseException):
    """The process died here."""


@dataclass
class Deaths:
    """Every place is died at once: before an action, after it, and after its commit."""

    died: list[tuple[str, str]] = field(default_factory=list)

    def at(self, action: str, time_: str) -> None:
        """Die here, the first time."""
        if (action, time_) not in self.died:
            self.died.append((action, time_))
            raise Killed

    def around(
        self, action: str, original: Callable[..., Awaitable[Any]]
    ) -> Callable[..., Awaitable[Any]]:
        """Return the action with a death before and after it."""

        async def acted(*arguments: Any, **named: Any) -> Any:
            self.at(action, "before")
            result = await original(*arguments, **named)
            _written.set(action)
            self.at(action, "after")
            return result

        return acted

    def write(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """Return a transaction with a death right behind its commit."""

        @asynccontextmanager
        async def written(db: Database) -> AsyncIterator[Tx]:
            _written.set("")
            async with original(db) as tx:
                yield tx
            if action := _written.get():
                self.at(action, "committed")

        return written


async def test_killed_around_every_action_it_ends_as_if_nothing_had_been(
    world: ImportWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One file at a time, so that each death is of what it was meant for."""
    deaths, store = Deaths(), world.facilities.artifacts
    # The only way to die in the middle of what is under test.
    for name in WRITES:
        monkeypatch.setattr(moves, name, deaths.around(name, getattr(moves, name)))
    for name in STORE:
        monkeypatch.setattr(store, name, deaths.around(name, getattr(store, name)))
    monkeypatch.setattr(Database, "write", deaths.write(Database.write))

    for number, content in enumerate((LARGE, b"small", b"without a digest"), start=1):
        world.source.files = {"model.bin": content}
        world.source.told = content != b"without a digest"
        begun = await world.begin()
        for _ in range(40):
            with suppress(Killed):
                if not await world.runner().step(begun["id"]):
                    break
        version = await world.api.get(f"/models/triage/versions/{number}")
        assert (await world.get(begun["id"]))["phase"] == "done"
        assert version["files"][0]["digest"] == digest_of(content)

    assert (await world.api.get("/models/triage"))["latest_version"] == 3
    assert world.left_open() == []
    assert set(deaths.died) == {
        *((action, when) for action in (*WRITES, *STORE) for when in ("before", "after")),
        *((action, "committed") for action in WRITES),
    }


async def test_killed_in_the_middle_of_a_large_file_it_goes_on_there(world: ImportWorld) -> None:
    world.source.files = {"model.bin": LARGE}
    begun = await world.begin()

    async def die(_path: str, offset: int) -> None:
        if offset == 5 << 20:
            world.source.before = None
            raise Killed

    world.source.before = die
    with pytest.raises(Killed):
        await world.runner().step(begun["id"])

    done = await world.run(begun["id"])

    assert done["phase"] == "done"
    assert world.source.reads == [("model.bin", 0), ("model.bin", 5 << 20)]


class FullDisk:
    """A store whose disk is full for a while."""

    def __init__(self, store: Any, times: int) -> None:
        self._store = store
        self._times = times

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def append(self, upload: str, offset: int, chunks: AsyncIterator[bytes]) -> int:
        if self._times:
            self._times -= 1
            raise StorageFull(cause="no space left on device")
        return await self._store.append(upload, offset, chunks)


@pytest.mark.parametrize(("times", "phase"), [(2, "done"), (99, "failed")])
async def test_a_full_disk_is_waited_for_and_then_told(
    world: ImportWorld, times: int, phase: str
) -> None:
    world.source.files = {"model.bin": LARGE}
    full: Any = FullDisk(world.facilities.artifacts, times)
    begun = await world.begin()

    ended = await world.patiently(begun["id"], replace(world.facilities, artifacts=full))

    assert ended["phase"] == phase
    assert world.left_open() == []
    if phase == "failed":
        assert ended["reason"] == "StorageFull"
        assert "Free space" in ended["fix"]


async def test_a_sweep_in_between_leaves_what_has_come(world: ImportWorld) -> None:
    """What has come lies for longer than a sweep waits, and still no version has it."""
    begun = await world.begin()
    runner = world.runner()
    await runner.step(begun["id"])
    then = time.time() - 1_000
    for path in world.facilities.folder.artifacts.rglob("*"):
        os.utime(path, (then, then))
    world.clock.advance(seconds=1_000)

    collected = await artifacts.collect(Depot(world.db, world.facilities.artifacts, 60), SYSTEM)
    done = await world.run(begun["id"])

    assert collected.files == 0
    assert done["phase"] == "done"


async def test_of_two_instances_one_imports(world: ImportWorld) -> None:
    begun = await world.begin()
    loops = [
        ImportLoop(world.runner(), Lease(world.db, "imports", holder)) for holder in ("a", "b")
    ]

    for loop in loops:
        await loop.round()
    await loops[0].settled()

    assert (await world.get(begun["id"]))["phase"] == "done"
    assert [path for path, _ in world.source.reads] == ["model.bin"]
