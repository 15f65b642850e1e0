"""
The artifact store in a folder.

Bytes are kept once, under their SHA-256 (`blobs/`). What a model server reads is a folder of hard
links with the files' own names (`trees/`). A file appears under its final name only when it is
whole and verified; a crash leaves at most something in `incoming/`, which the next start removes.
Uploads that go on later lie in `uploads/` until they are finished or discarded.
"""

import asyncio
import hashlib
import os
import shutil
import threading
import time
import uuid
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from functools import partial
from io import RawIOBase
from pathlib import Path
from typing import Any, BinaryIO

from towpath_server.adapters.objectstore import files as disks
from towpath_server.adapters.objectstore.errors import (
    ArtifactMissing,
    ArtifactTooLarge,
    DigestMalformed,
    DigestMismatch,
    OffsetConflict,
)
from towpath_server.adapters.objectstore.files import Writer, disk
from towpath_server.adapters.objectstore.store import (
    CHUNK,
    MAX_FILE_BYTES,
    Kept,
    Piece,
    Progress,
    StoredBlob,
    StoredFile,
    gathered,
    hex_of,
    list_digest,
    safe_path,
    verified,
)

_LISTED = 1_000  # blobs of one portion of a listing
_TOUCHED_S = 30.0  # how exactly a folder remembers when it was last asked for
_HASHED = 256  # uploads whose digest so far is remembered: more are not written at a time


class FolderStore:
    """Content-addressed files in one folder of this machine."""

    def __init__(self, root: Path, *, max_file_bytes: int = MAX_FILE_BYTES) -> None:
        self._blobs = root / "blobs" / "sha256"
        self._trees = root / "trees"
        self._incoming = root / "incoming"
        self._uploads = root / "uploads"
        self._max_file_bytes = max_file_bytes
        self._moving = threading.Lock()  # between a blob's arrival and a sweep that finds it unused
        self._writing: set[str] = set()
        self._hashes: OrderedDict[str, tuple[int, Any]] = OrderedDict()

    def prepare(self) -> None:
        """Make the folders, and remove what interrupted work left; uploads go on."""
        with disk():
            shutil.rmtree(self._incoming, ignore_errors=True)
            for folder in (self._blobs, self._trees, self._incoming, self._uploads):
                folder.mkdir(parents=True, exist_ok=True)

    async def size(self, digest: str) -> int | None:
        """Return how many bytes are stored under `digest`; none when it is not there."""
        blob = self._blob(digest)
        return await asyncio.to_thread(disks.size, blob)

    async def put(self, digest: str, chunks: AsyncIterator[Piece]) -> int:
        """
        Store a stream under its digest; return its size.

        Raises:
            DigestMismatch: The stream has another digest; nothing is kept.
            ArtifactTooLarge: It is longer than one file may be.
            StorageFull: There is no room for it.
        """
        self._blob(digest)  # refuses what is no digest before a byte is taken
        return (await self._take(chunks, digest)).size

    async def take(self, chunks: AsyncIterator[bytes]) -> StoredBlob:
        """
        Store a stream whose digest its sender does not know; return digest and size.

        Raises:
            ArtifactTooLarge: It is longer than one file may be.
            StorageFull: There is no room for it.
        """
        return await self._take(chunks, None)

    async def chunks(
        self, digest: str, *, offset: int = 0, length: int | None = None
    ) -> AsyncIterator[bytes]:
        """
        Read a stored file, or a part of it, in pieces of about a MiB.

        A whole one is checked against its digest; its last piece is not given when it was altered.

        Raises:
            ArtifactMissing: It is not in the store.
            DigestMismatch: It was altered.
        """
        pieces = self._pieces(digest, offset, length)
        whole = offset == 0 and length is None
        async for piece in verified(pieces, digest) if whole else pieces:
            yield piece

    async def _pieces(self, digest: str, offset: int, length: int | None) -> AsyncIterator[bytes]:
        blob = self._blob(digest)
        left = length if length is not None else MAX_FILE_BYTES
        with disk(what=digest):
            file = await asyncio.to_thread(_opened, blob, offset)
            try:
                while left and (piece := await asyncio.to_thread(file.read, min(CHUNK, left))):
                    left -= len(piece)
                    yield piece
            finally:
                file.close()

    async def text(self, digest: str, *, limit: int) -> str:
        """Read a small stored file as text, for model cards and the like."""
        blob = self._blob(digest)
        with disk(what=digest):
            data = await asyncio.to_thread(disks.read, blob, limit)
        return data.decode("utf-8", errors="replace")

    @asynccontextmanager
    async def spooled(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[tuple[StoredBlob, Path]]:
        """
        Keep a stream in a file of its own for as long as the block lasts.

        Raises:
            ArtifactTooLarge: It is longer than one file may be.
            StorageFull: There is no room for it.
        """
        writer = await asyncio.to_thread(Writer, self._temporary())
        try:
            await self._fill(writer, chunks)
            yield StoredBlob(writer.digest, writer.size), await asyncio.to_thread(writer.close)
        finally:
            await asyncio.to_thread(writer.discard)

    async def import_file(self, source: Path) -> StoredFile:
        """
        Take over a file of this machine, by hard link where that is possible; trusted callers only.

        Raises:
            ArtifactMissing: There is no such file.
        """
        return await asyncio.to_thread(self._import, source)

    async def tree(
        self,
        files: Sequence[StoredFile],
        *,
        progress: Progress | None = None,
        verified: Collection[str] = (),
    ) -> Path:
        """
        Return a folder that holds these files under their own names, digests verified.

        Made at the first call, found at the next.

        Args:
            progress: Hears of bytes as they are verified.
            verified: Digests whose bytes were just seen to have them.

        Raises:
            ArtifactMissing: Bytes of one of the files are not in the store.
            DigestMismatch: The store's bytes were altered.
        """
        return await asyncio.to_thread(self._tree, tuple(files), progress, frozenset(verified))

    async def append(self, upload: str, offset: int, chunks: AsyncIterator[bytes]) -> int:
        """
        Add to an upload from `offset` on, which must be where it stands; return where it is now.

        What came in stays when the stream breaks off.

        Raises:
            OffsetConflict: It stands elsewhere; the error says where.
            ArtifactTooLarge: It is longer than one file may be.
            StorageFull: There is no room for it.
        """
        path = self._upload(upload)
        if upload in self._writing:
            raise OffsetConflict(await self.received(upload), busy=True)
        self._writing.add(upload)
        try:
            stands = await self.received(upload)
            if offset != stands:
                raise OffsetConflict(stands)
            return await self._append(upload, path, offset, chunks)
        finally:
            self._writing.discard(upload)

    async def received(self, upload: str) -> int:
        """Return how many bytes of an upload are there."""
        with disk():
            return await asyncio.to_thread(disks.size, self._upload(upload)) or 0

    async def finish(self, upload: str, digest: str) -> int:
        """
        Store what an upload brought under its digest; return its size.

        Raises:
            DigestMismatch: It has another digest; the upload is gone.
        """
        return await asyncio.to_thread(self._finish_upload, upload, digest)

    async def discard(self, upload: str) -> None:
        """Forget an upload; one that is not there is none."""
        self._hashes.pop(upload, None)
        with disk():
            await asyncio.to_thread(self._upload(upload).unlink, missing_ok=True)

    async def aged(self, older_than_s: float) -> AsyncIterator[Sequence[StoredBlob]]:
        """List in portions what came in, or came in anew, longer ago."""
        found = await asyncio.to_thread(self._older_than, older_than_s)
        for start in range(0, len(found), _LISTED):
            yield found[start : start + _LISTED]

    async def remove(self, digest: str, *, older_than_s: float) -> bool:
        """Remove bytes unless they came in anew since; tell whether they went."""
        return await asyncio.to_thread(self._remove, digest, older_than_s)

    async def forget_trees(self, keep: Collection[str], *, idle_s: float) -> None:
        """Remove folders that nobody asked for in a while; their bytes stay where they are."""
        await asyncio.to_thread(self._forget_trees, set(keep), idle_s)

    def kept(self) -> Kept:
        """Measure what is stored here: all of it."""
        return Kept(sum(stat.st_size for stat, _ in self.blobs()), None)

    def planted(self, files: Sequence[StoredFile]) -> Path | None:
        """Find the folder of these files, and note that it was asked for."""
        final = self._trees / list_digest(files).removeprefix("sha256:")
        return final if _touch(final) else None

    def trees(self) -> list[tuple[float, Path]]:
        """List folders by when they were last asked for, the longest ago first."""
        with disk():
            return sorted((path.stat().st_mtime, path) for path in self._trees.glob("*"))

    def blobs(self) -> list[tuple[os.stat_result, Path]]:
        """List all stored files."""
        with disk():
            return [(path.stat(), path) for path in self._blobs.glob("*/*")]

    def drop(self, tree: Path) -> None:
        """Remove a folder; it disappears at once and as a whole."""
        away = self._temporary()
        try:
            with disk():
                tree.rename(away)
        except ArtifactMissing:
            return  # another task removed it first
        shutil.rmtree(away, ignore_errors=True)

    def _older_than(self, seconds: float) -> list[StoredBlob]:
        now = time.time()
        return sorted(
            (
                StoredBlob(f"sha256:{path.name}", stat.st_size)
                for stat, path in self.blobs()
                if now - stat.st_mtime > seconds
            ),
            key=lambda blob: blob.digest,
        )

    def _remove(self, digest: str, older_than_s: float) -> bool:
        blob = self._blob(digest)
        try:
            with self._moving, disk(what=digest):
                if time.time() - blob.stat().st_mtime <= older_than_s:
                    return False  # the same bytes came in anew meanwhile
                blob.unlink()
        except ArtifactMissing:
            return False
        return True

    def _forget_trees(self, keep: set[str], idle_s: float) -> None:
        for touched, tree in self.trees():
            if f"sha256:{tree.name}" not in keep and time.time() - touched > idle_s:
                self.drop(tree)

    async def _take(self, chunks: AsyncIterator[Piece], digest: str | None) -> StoredBlob:
        writer = await asyncio.to_thread(Writer, self._temporary())
        try:
            await self._fill(writer, chunks)
            return await asyncio.to_thread(self._finish, writer, digest)
        finally:
            await asyncio.to_thread(writer.discard)

    async def _fill(self, writer: Writer, chunks: AsyncIterator[Piece]) -> None:
        async for held in gathered(chunks):
            if writer.size + sum(map(len, held)) > self._max_file_bytes:
                raise ArtifactTooLarge(self._max_file_bytes)
            await _side_by_side(partial(writer.write, held), partial(writer.hash, held))

    def _finish(self, writer: Writer, digest: str | None) -> StoredBlob:
        actual = digest or writer.digest
        with self._moving:
            return StoredBlob(actual, writer.finish(actual, self._blob(actual)))

    async def _append(
        self, upload: str, path: Path, offset: int, chunks: AsyncIterator[bytes]
    ) -> int:
        at, hashed = self._hashes.pop(upload, (0, hashlib.sha256()))
        known = at == offset
        with disk():
            file = await asyncio.to_thread(_appending, path)
        try:
            async for held in gathered(chunks):
                size = sum(map(len, held))
                if offset + size > self._max_file_bytes:
                    raise ArtifactTooLarge(self._max_file_bytes)
                hashing, known = known, False  # a piece that fails was hashed, and is not there
                with disk():
                    await _side_by_side(
                        partial(_add, file, held), partial(_hash, hashed, held if hashing else ())
                    )
                known = hashing
                offset += size
        finally:
            await asyncio.to_thread(file.close)
            if known and await asyncio.to_thread(disks.size, path) == offset:
                self._remember(upload, offset, hashed)
        return offset

    def _remember(self, upload: str, offset: int, hashed: Any) -> None:
        """Keep the digest so far, so that an upload without a cut is not read again."""
        self._hashes[upload] = (offset, hashed)
        while len(self._hashes) > _HASHED:
            self._hashes.popitem(last=False)

    def _finish_upload(self, upload: str, digest: str) -> int:
        blob, path = self._blob(digest), self._upload(upload)
        at, hashed = self._hashes.pop(upload, (-1, None))
        with disk(what=upload):
            size = path.stat().st_size
            actual = f"sha256:{hashed.hexdigest()}" if at == size else disks.digest(path)[0]
            if actual != digest:
                path.unlink()
                raise DigestMismatch(digest, actual)
            with path.open("rb") as file:
                os.fsync(file.fileno())
            blob.parent.mkdir(parents=True, exist_ok=True)
            link = self._temporary()
            link.parent.mkdir(parents=True, exist_ok=True)
            disks.link_or_copy(path, link)
            with self._moving:
                os.utime(link)
                link.replace(blob)
        return size

    def _import(self, source: Path) -> StoredFile:
        with disk(what=source.name):
            digest, size = disks.digest(source)
            blob = self._blob(digest)
            if disks.size(blob) != size:
                temporary = self._temporary()
                try:
                    temporary.parent.mkdir(parents=True, exist_ok=True)
                    disks.link_or_copy(source, temporary)
                    if (copied := disks.digest(temporary)) != (digest, size):
                        raise DigestMismatch(digest, copied[0])
                    blob.parent.mkdir(parents=True, exist_ok=True)
                    temporary.replace(blob)
                finally:
                    temporary.unlink(missing_ok=True)
        return StoredFile(source.name, digest, size)

    def _tree(
        self, files: tuple[StoredFile, ...], progress: Progress | None, verified: frozenset[str]
    ) -> Path:
        found = self.planted(files)
        if found is not None:
            return found
        final = self._trees / list_digest(files).removeprefix("sha256:")
        temporary = self._temporary()
        with disk(what=", ".join(file.path for file in files)):
            try:
                for file in files:
                    self._plant(file, temporary, verified=file.digest in verified)
                    if progress is not None:
                        progress(file.size)
                final.parent.mkdir(parents=True, exist_ok=True)
                try:
                    temporary.rename(final)
                except OSError:
                    if not final.is_dir():  # another task made the same tree first
                        raise
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
        return final

    def _plant(self, file: StoredFile, folder: Path, *, verified: bool) -> None:
        blob = self._blob(file.digest)
        if disks.size(blob) is None:
            raise ArtifactMissing(f"{file.path} ({file.digest})")
        if not verified:
            digest, _ = disks.digest(blob)
            if digest != file.digest:
                raise DigestMismatch(file.digest, digest)
        place = folder / safe_path(file.path)
        place.parent.mkdir(parents=True, exist_ok=True)
        disks.link_or_copy(blob, place)

    def _blob(self, digest: str) -> Path:
        name = hex_of(digest)
        if name is None:
            raise DigestMalformed(digest)
        return self._blobs / name[:2] / name

    def _upload(self, upload: str) -> Path:
        return self._uploads / str(safe_path(upload))

    def _temporary(self) -> Path:
        return self._incoming / uuid.uuid4().hex


def _opened(path: Path, offset: int) -> BinaryIO:
    file = path.open("rb")
    file.seek(offset)
    return file


def _appending(path: Path) -> RawIOBase:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Unbuffered: what was written counts, even where the next piece finds no room.
    return path.open("ab", buffering=0)


def _add(file: RawIOBase, chunks: Sequence[Piece]) -> None:
    for chunk in chunks:
        disks.write(file, chunk)


def _hash(hashed: Any, chunks: Sequence[Piece]) -> None:
    for chunk in chunks:
        hashed.update(chunk)


async def _side_by_side(work: Callable[[], None], beside: Callable[[], None]) -> None:
    """Run both in threads; both let go of the interpreter, so that two cores share them."""
    other = asyncio.create_task(asyncio.to_thread(beside))
    try:
        await asyncio.to_thread(work)
    finally:
        await other


def _touch(tree: Path) -> bool:
    """Note that a folder was asked for; tell whether it is there."""
    try:
        if time.time() - tree.stat().st_mtime > _TOUCHED_S:
            os.utime(tree)
    except FileNotFoundError:
        return False
    return True
