"""
What this machine keeps of a store elsewhere: the files of the models that it runs.

Bounded: what was asked for the longest ago makes room. A model that runs is asked for again and
again, and so never does.
"""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from towpath_server.adapters.objectstore import files as disks
from towpath_server.adapters.objectstore.errors import StorageFull
from towpath_server.adapters.objectstore.folder import FolderStore
from towpath_server.adapters.objectstore.store import (
    CHUNK,
    Kept,
    Piece,
    Progress,
    StoredBlob,
    StoredFile,
)

IN_USE_S = 600.0  # whoever uses a folder asks for it once a minute
FILES_AT_ONCE = 2  # each is fetched in several parts at a time already


class Cache:
    """A folder with a bound, filled from elsewhere."""

    def __init__(self, local: FolderStore, *, max_bytes: int) -> None:
        self._local = local
        self._max_bytes = max_bytes
        self._wanted = Counter[str]()
        """Bytes of folders that are being made: nothing may link to them yet."""
        self._started = time.time()
        self._left_at: float | None = None
        """When the program before this one last asked for anything."""
        self._fetching: dict[str, asyncio.Task[int]] = {}

    def prepare(self) -> None:
        """Make the folders, and remove what interrupted work left."""
        self._local.prepare()
        trees = self._local.trees()
        self._started, self._left_at = time.time(), trees[-1][0] if trees else None

    async def tree(
        self,
        files: Sequence[StoredFile],
        fetch: Callable[[str], AsyncIterator[Piece]],
        progress: Progress | None,
    ) -> Path:
        """
        Return a folder that holds these files, fetching what is not here.

        Raises:
            StorageFull: There is no room, even without all that is not in use.
        """
        found = await asyncio.to_thread(self._local.planted, files)
        if found is not None:
            return found
        wanted = {file.digest: file.size for file in files}
        self._wanted.update(wanted.keys())
        try:
            return await self._made(files, wanted, fetch, progress)
        finally:
            self._wanted.subtract(wanted.keys())
            self._wanted = +self._wanted

    async def _made(
        self,
        files: Sequence[StoredFile],
        wanted: Mapping[str, int],
        fetch: Callable[[str], AsyncIterator[Piece]],
        progress: Progress | None,
    ) -> Path:
        missing = {
            digest: size
            for digest, size in wanted.items()
            if await self._local.size(digest) != size
        }
        await asyncio.to_thread(self._make_room, sum(missing.values()))
        try:
            await self._fetch(list(missing), fetch, progress)
        except StorageFull:
            await asyncio.to_thread(self._make_room, self._max_bytes)
            await self._fetch(list(missing), fetch, progress)
        return await self._local.tree(files, verified=missing)

    def spooled(
        self, chunks: AsyncIterator[bytes]
    ) -> AbstractAsyncContextManager[tuple[StoredBlob, Path]]:
        """Keep a stream here until its digest is known and it went on."""
        return self._local.spooled(chunks)

    async def measure(self, source: Path) -> StoredBlob:
        """
        Return digest and size of a file of this machine.

        Raises:
            ArtifactMissing: There is no such file.
        """
        with disks.disk(what=source.name):
            return StoredBlob(*await asyncio.to_thread(disks.digest, source))

    async def read(self, source: Path) -> AsyncIterator[bytes]:
        """Read a file of this machine in pieces."""
        with disks.disk(what=source.name):
            file = await asyncio.to_thread(source.open, "rb")
            try:
                while piece := await asyncio.to_thread(file.read, CHUNK):
                    yield piece
            finally:
                file.close()

    async def forget(self, keep: Collection[str], *, idle_s: float) -> None:
        """Remove folders that nobody asked for in a while, and the bytes that only they had."""
        await self._local.forget_trees(keep, idle_s=idle_s)
        await asyncio.to_thread(self._drop_loose, idle_s)

    def kept(self) -> Kept:
        """Measure what is here."""
        return Kept(self._used(), self._max_bytes)

    async def _fetch(
        self,
        digests: Sequence[str],
        fetch: Callable[[str], AsyncIterator[Piece]],
        progress: Progress | None,
    ) -> None:
        room = asyncio.Semaphore(FILES_AT_ONCE)

        async def one(digest: str) -> None:
            async with room:
                if await self._local.size(digest) is not None:
                    return  # another fetch brought it meanwhile
                running = self._fetching.get(digest)
                if running is None:
                    content = _told(fetch(digest), progress)
                    running = asyncio.create_task(self._local.put(digest, content))
                    self._fetching[digest] = running
                    running.add_done_callback(lambda _: self._fetching.pop(digest, None))
                await asyncio.shield(running)

        done = await asyncio.gather(*map(one, digests), return_exceptions=True)
        for failed in done:
            if isinstance(failed, BaseException):
                raise failed

    def _make_room(self, needed: int) -> None:
        """Drop what was asked for the longest ago until so many bytes fit below the bound."""
        trees = self._local.trees()
        while trees and self._used() + needed > self._max_bytes:
            touched, tree = trees.pop(0)
            if self._in_use(touched):
                break
            self._local.drop(tree)
            self._drop_loose(0.0)
        if self._used() + needed > self._max_bytes:
            self._drop_loose(0.0)

    def _in_use(self, touched: float) -> bool:
        """
        Tell whether somebody uses a folder, by when it was last asked for.

        Model servers outlive the program that asks for them. What was in use when the former one
        ended counts as such until this one has had the time to ask for it.
        """
        now = time.time()
        if now - touched < IN_USE_S:
            return True
        starting = self._left_at is not None and now - self._started < IN_USE_S
        return starting and touched > (self._left_at or 0.0) - IN_USE_S

    def _used(self) -> int:
        return sum(stat.st_size for stat, _ in self._local.blobs())

    def _drop_loose(self, idle_s: float) -> None:
        """Remove bytes that no folder links to."""
        for stat, path in self._local.blobs():
            loose = stat.st_nlink == 1 and time.time() - stat.st_mtime > idle_s
            if loose and not self._wanted[f"sha256:{path.name}"]:
                path.unlink(missing_ok=True)


async def _told(chunks: AsyncIterator[Piece], progress: Progress | None) -> AsyncIterator[Piece]:
    async for chunk in chunks:
        if progress is not None:
            progress(len(chunk))
        yield chunk
