"""Bringing models to this machine, in tasks of their own: a large one holds up no other."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from towpath_server.adapters.objectstore.store import ArtifactStore, StoredFile, list_digest
from towpath_server.core.errors import Kind, TowpathError

_PATIENCE_S = 0.5  # what is here already is had at once; anything else is told as on its way
_MB = 1_000_000


class StillFetching(TowpathError):
    """A model is on its way to the machine."""

    code = "artifact_on_its_way"
    kind = Kind.UNAVAILABLE
    title = "Artifact is on its way"

    def __init__(self, there: int, total: int) -> None:
        super().__init__(
            f"{there / _MB:.0f} of {total / _MB:.0f} MB are on this machine and verified.",
            fix="It goes on by itself.",
        )


@dataclass
class _Running:
    total: int
    there: int = 0
    late: bool = False
    owners: set[str] = field(default_factory=set)

    def add(self, count: int) -> None:
        self.there += count


class Fetches:
    """Folders of models that this machine has, or is getting."""

    def __init__(self, store: ArtifactStore) -> None:
        self._store = store
        self._running: dict[str, tuple[asyncio.Task[Path], _Running]] = {}
        self.arrived: Callable[[str], None] = lambda _owner: None
        """Hears which deployment need not wait any more, for what it was told is on its way."""

    async def folder(self, owner: str, files: Sequence[StoredFile]) -> Path:
        """
        Return the folder of a deployment's model.

        Raises:
            StillFetching: It is on its way.
            TowpathError: It cannot be had; the next call tries again.
        """
        key = list_digest(files)
        if key not in self._running:
            self._running[key] = self._begin(files)
        task, running = self._running[key]
        running.owners.add(owner)
        await asyncio.wait([task], timeout=_PATIENCE_S)
        if not task.done():
            running.late = True
            raise StillFetching(running.there, running.total)
        self._running.pop(key, None)
        return task.result()

    def _begin(self, files: Sequence[StoredFile]) -> tuple[asyncio.Task[Path], _Running]:
        running = _Running(sum(file.size for file in files))
        task = asyncio.create_task(self._store.tree(files, progress=running.add))

        def told(done: asyncio.Task[Path]) -> None:
            if done.cancelled() or not running.late:
                return
            done.exception()  # told at the next call, should there be one
            for owner in running.owners:
                self.arrived(owner)

        task.add_done_callback(told)
        return task, running
