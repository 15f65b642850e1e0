"""Bringing the files of one import into the store, several at a time."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

from towpath_server.adapters.objectstore.errors import ArtifactTooLarge, DigestMismatch
from towpath_server.adapters.objectstore.store import ArtifactStore
from towpath_server.adapters.sources.errors import SourceFailed
from towpath_server.adapters.sources.model import RemoteFile, Source
from towpath_server.core import ids
from towpath_server.core.db import Database
from towpath_server.domains.imports.models import Import, ImportFile
from towpath_server.domains.imports.service import moves

AT_ONCE = 4  # files: what one connection leaves of the line, and no more than a source bears
# What is smaller comes whole again after a crash, and takes half as many notes in the database.
_WHOLE_BYTES = 8 << 20
_NOTE_S = 1.0  # how often people see that it goes on, and how soon a cancellation is noticed


class Bringing:
    """
    One run over the files of an import.

    Args:
        came: What earlier runs have brought, by path.
    """

    def __init__(
        self,
        db: Database,
        store: ArtifactStore,
        found: Import,
        source: Source,
        came: Mapping[str, ImportFile],
    ) -> None:
        self._db = db
        self._store = store
        self._import = found
        self._source = source
        self._came = came
        self._files = 0
        self.size = 0
        """Bytes that are in the store, or on their way into it."""

    async def all(self, files: Sequence[RemoteFile]) -> bool:
        """
        Bring what is not there yet; return false when the import was cancelled meanwhile.

        Raises:
            SourceFailed: The source is not there, refuses, or has something else than it said.
            TowpathError: The store does not take it.
        """
        waiting = iter(files)
        bringing = asyncio.create_task(self._work(waiting))
        watching = asyncio.create_task(self._watch())
        try:
            await asyncio.wait({bringing, watching}, return_when=asyncio.FIRST_COMPLETED)
            if bringing.done():
                await bringing
                return True
            await watching
            return False
        finally:
            for task in (bringing, watching):
                task.cancel()
            await asyncio.gather(bringing, watching, return_exceptions=True)

    async def _work(self, waiting: Iterator[RemoteFile]) -> None:
        async def worker() -> None:
            for file in waiting:
                await self._bring(file)
                self._files += 1

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(AT_ONCE):
                    group.create_task(worker())
        except BaseExceptionGroup as several:
            raise several.exceptions[0] from several

    async def _watch(self) -> None:
        """Note how far it is, until nobody wants it any more."""
        noted, wanted = (0, 0), True
        while wanted:
            await asyncio.sleep(_NOTE_S)
            now = (self.size, self._files)
            if now == noted:
                async with self._db.read() as tx:
                    wanted = await moves.wanted(tx, self._import.id)
                continue
            noted = now
            async with self._db.write() as tx:
                wanted = await moves.advance(
                    tx, self._import.id, bytes_done=now[0], files_done=now[1]
                )

    async def _bring(self, file: RemoteFile) -> None:
        before = self._came.get(file.path)
        if before is not None and before.stored:
            if before.upload is not None:
                await self._store.discard(before.upload)
            self.size += before.size
        elif not await self._found(file):
            try:
                await self._fetch(file, before)
            except DigestMismatch as error:
                raise SourceFailed(
                    "DigestMismatch",
                    f"`{file.path}` is not what its source says: {error.detail}",
                    fix="Correct the digest where it is yours; else tell whoever publishes it.",
                ) from error
            except ArtifactTooLarge as error:
                raise SourceFailed(
                    "TooLarge",
                    f"`{file.path}` is larger than one file may be.",
                    fix="Take a smaller one, or raise `TOWPATH_API__UPLOAD_BYTES`.",
                ) from error

    async def _found(self, file: RemoteFile) -> bool:
        """Take what the team has had stored before, by its digest alone."""
        if file.digest is None:
            return False
        size = await self._store.size(file.digest)
        if size is None or file.size not in {None, size}:
            return False
        async with self._db.read() as tx:
            if not await moves.has(tx, self._import, file.digest):
                return False
        await self._keep(ImportFile(file.path, file.digest, size))
        if await self._store.size(file.digest) is None:
            return False  # it was swept away just before it was relied on
        self.size += size
        return True

    async def _fetch(self, file: RemoteFile, before: ImportFile | None) -> None:
        if file.digest is None:
            blob = await self._store.take(self._pieces(file))
            await self._keep(ImportFile(file.path, blob.digest, blob.size))
        elif file.size is None or file.size <= _WHOLE_BYTES:
            size = await self._store.put(file.digest, self._pieces(file))
            await self._keep(ImportFile(file.path, file.digest, size))
        else:
            await self._fetch_on(file, file.digest, file.size, before)

    async def _fetch_on(
        self, file: RemoteFile, digest: str, size: int, before: ImportFile | None
    ) -> None:
        """Fetch a large file, from where it broke off."""
        upload = before.upload if before and before.upload else ids.new("upl")
        noted = ImportFile(file.path, digest, size, upload)
        if before is None or before.upload != upload:
            async with self._db.write() as tx:
                await moves.begun(tx, self._import, noted)
        offset = await self._store.received(upload)
        if offset > size:
            await self._store.discard(upload)
            offset = 0
        self.size += offset
        if offset < size:
            await self._store.append(upload, offset, self._pieces(file, offset))
        await self._store.finish(upload, digest)
        await self._keep(noted)
        await self._store.discard(upload)

    async def _keep(self, file: ImportFile) -> None:
        async with self._db.write() as tx:
            await moves.stored(tx, self._import, file)

    async def _pieces(self, file: RemoteFile, offset: int = 0) -> AsyncIterator[bytes]:
        """Read a file to its end; what breaks off goes on at once, as long as something came."""
        while True:
            began = offset
            try:
                async for piece in self._source.read(file, offset):
                    offset += len(piece)
                    self.size += len(piece)
                    yield piece
            except SourceFailed as error:
                if not error.transient or offset == began:
                    raise
            else:
                if file.size is None or offset >= file.size:
                    return
                if offset == began:
                    raise SourceFailed(
                        "BrokenOff",
                        f"`{file.path}` ends after {offset} of {file.size} bytes.",
                        fix="Import it again; if it stays so, the source is damaged.",
                        transient=True,
                    )
