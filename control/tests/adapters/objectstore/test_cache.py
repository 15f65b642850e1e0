"""What a machine keeps of a bucket: bounded, and never at the cost of what is in use."""

import asyncio
import os
import shutil
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from streams import digest_of

from towpath_server.adapters.objectstore.cache import Cache
from towpath_server.adapters.objectstore.errors import ArtifactMissing
from towpath_server.adapters.objectstore.folder import FolderStore
from towpath_server.adapters.objectstore.opening import open_store
from towpath_server.adapters.objectstore.store import StoredFile
from towpath_server.core.storage import ArtifactSettings

KIB = 1 << 10
HOUR_S = 3600.0


class Elsewhere:
    """A store that the cache is filled from, and the machine with the cache."""

    def __init__(self, root: Path, max_bytes: int) -> None:
        self._root = root
        self._max_bytes = max_bytes
        self._there: dict[str, bytes] = {}
        self.held: Mapping[str, asyncio.Event] = {}
        """Bytes that come only after these events, by digest."""
        self.asked = asyncio.Event()
        """That somebody waits for such bytes."""
        self.start()

    def start(self) -> None:
        """Let a program begin that uses the cache, after the former one."""
        self._folder = FolderStore(self._root)
        self.cache = Cache(self._folder, max_bytes=self._max_bytes)
        self.cache.prepare()

    def model(self, *sizes: int) -> list[StoredFile]:
        """Make a model of files of these sizes."""
        files = []
        for number, size in enumerate(sizes):
            content = os.urandom(size)
            digest = digest_of(content)
            self._there[digest] = content
            files.append(StoredFile(f"part-{number}", digest, size))
        return files

    async def fetch(self, files: Sequence[StoredFile], *, asked_s_ago: float = 0.0) -> Path:
        """Have a model here, which was asked for so long ago."""
        tree = await self.cache.tree(files, self._chunks, None)
        at = time.time() - asked_s_ago
        os.utime(tree, (at, at))
        return tree

    async def bring(self, file: StoredFile) -> None:
        """Have the bytes of a file here, which no model links to yet."""
        await self._folder.put(file.digest, self._chunks(file.digest))

    async def _chunks(self, digest: str) -> AsyncIterator[bytes]:
        if digest in self.held:
            self.asked.set()
            await self.held[digest].wait()
        yield self._there[digest]

    def whole(self, tree: Path, files: Sequence[StoredFile]) -> bool:
        """Tell whether a model is here with all its bytes."""
        return all((tree / one.path).read_bytes() == self._there[one.digest] for one in files)


@pytest.fixture
def machine(tmp_path: Path) -> Elsewhere:
    return Elsewhere(tmp_path / "artifacts", 10 * KIB)


async def test_what_was_used_the_longest_ago_makes_room(machine: Elsewhere) -> None:
    models = [machine.model(4 * KIB) for _ in range(3)]
    older = await machine.fetch(models[0], asked_s_ago=2 * HOUR_S)
    newer = await machine.fetch(models[1], asked_s_ago=HOUR_S)

    last = await machine.fetch(models[2])

    assert [older.exists(), newer.exists(), last.exists()] == [False, True, True]
    assert machine.cache.kept().size == 8 * KIB
    assert machine.cache.kept().most == 10 * KIB


async def test_what_runs_stays_after_a_restart_however_long_it_took(machine: Elsewhere) -> None:
    """Nobody has asked for it yet: its server ran on while no control plane did."""
    abandoned, running = machine.model(4 * KIB), machine.model(4 * KIB)
    dead = await machine.fetch(abandoned, asked_s_ago=9 * HOUR_S)
    alive = await machine.fetch(running, asked_s_ago=5 * HOUR_S)  # when the former program ended
    machine.start()

    new = await machine.fetch(machine.model(4 * KIB))
    # Without room for it the bound gives way, and not what runs.
    more = await machine.fetch(machine.model(4 * KIB))

    assert not dead.exists()
    assert machine.whole(alive, running)
    assert new.exists()
    assert more.exists()


async def test_bytes_of_a_model_on_its_way_are_no_room_for_another(machine: Elsewhere) -> None:
    first, second = machine.model(3 * KIB, 3 * KIB), machine.model(9 * KIB)
    await machine.bring(first[0])
    arrived = asyncio.Event()
    machine.held = {first[1].digest: arrived}
    slow = asyncio.create_task(machine.fetch(first))
    await machine.asked.wait()

    other = await machine.fetch(second)
    arrived.set()
    tree = await slow

    assert machine.whole(tree, first)
    assert machine.whole(other, second)


class Killed(BaseException):
    """The program ends here, as by SIGKILL: nothing of it runs any more."""


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize(
    ("owner", "action"), [(Path, "rename"), (shutil, "rmtree"), (Path, "unlink"), (os, "link")]
)
async def test_a_death_between_any_two_actions_leaves_what_the_next_start_completes(
    owner: Any, action: str, before: bool, machine: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, running, new = (machine.model(4 * KIB) for _ in range(3))
    gone = await machine.fetch(old, asked_s_ago=2 * HOUR_S)
    alive = await machine.fetch(running)
    real = getattr(owner, action)

    def killed(*args: Any, **named: Any) -> None:
        if not before:
            real(*args, **named)
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(owner, action, killed)
        with pytest.raises(Killed):
            await machine.fetch(new)
    machine.start()
    tree = await machine.fetch(new)

    assert not gone.exists()
    assert machine.whole(alive, running)
    assert machine.whole(tree, new)
    assert machine.cache.kept().size == 8 * KIB


async def test_bytes_that_are_not_there_leave_nothing_wanted(machine: Elsewhere) -> None:
    (lost,) = machine.model(2 * KIB)

    async def nothing(digest: str) -> AsyncIterator[bytes]:
        raise ArtifactMissing(digest)
        yield b""

    with pytest.raises(ArtifactMissing):
        await machine.cache.tree([lost], nothing, None)
    tree = await machine.fetch([lost])

    assert machine.whole(tree, [lost])


def test_the_bound_is_half_of_the_disk_unless_it_is_said(tmp_path: Path) -> None:
    def bound(**more: Any) -> int | None:
        settings = ArtifactSettings.model_validate({"url": "s3://models", **more})
        store = open_store(settings, tmp_path / "data" / "artifacts")
        store.prepare()
        return store.kept().most

    assert bound() == shutil.disk_usage(tmp_path).total // 2
    assert bound(cache_bytes=5 << 20) == 5 << 20
