"""
The artifact store in a folder.

Bytes are kept once, under their SHA-256 (`blobs/`). What a model server reads is a folder of hard
links with the files' own names (`trees/`). A file appears under its final name only when it is
whole and verified; a crash leaves at most something in `incoming/`, which the next start removes.
"""

import asyncio
import errno
import hashlib
import os
import re
import shutil
import threading
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from towpath_server.adapters.objectstore.errors import (
    ArtifactMissing,
    ArtifactTooLarge,
    DigestMalformed,
    DigestMismatch,
    StorageFailed,
    StorageFull,
)

_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
_CHUNK = 1 << 20  # one hand-over to a thread per MiB: its cost vanishes beside hashing as much
MAX_FILE_BYTES = 256 << 30  # above the largest published weight shards; bounds a runaway upload
_FULL = {errno.ENOSPC, errno.EDQUOT}


_SWEPT = 500  # digests that one question of a sweep is about


@dataclass(frozen=True)
class StoredBlob:
    """Bytes in the store."""

    digest: str
    size: int


@dataclass(frozen=True)
class StoredFile:
    """A file of a model: where it stands in the model's folder, and which bytes it has."""

    path: str
    digest: str
    size: int


class FolderStore:
    """Content-addressed files in one folder of this machine."""

    def __init__(self, root: Path, *, max_file_bytes: int = MAX_FILE_BYTES) -> None:
        self._blobs = root / "blobs" / "sha256"
        self._trees = root / "trees"
        self._incoming = root / "incoming"
        self._max_file_bytes = max_file_bytes
        self._moving = threading.Lock()  # between a blob's arrival and a sweep that finds it unused

    def prepare(self) -> None:
        """Make the folders, and remove what interrupted uploads left."""
        with _disk():
            shutil.rmtree(self._incoming, ignore_errors=True)
            for folder in (self._blobs, self._trees, self._incoming):
                folder.mkdir(parents=True, exist_ok=True)

    async def size(self, digest: str) -> int | None:
        """Return how many bytes are stored under `digest`; none when it is not there."""
        blob = self._blob(digest)
        return await asyncio.to_thread(_size, blob)

    async def put(self, digest: str, chunks: AsyncIterator[bytes]) -> int:
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

    async def chunks(self, digest: str) -> AsyncIterator[bytes]:
        """
        Read a stored file in pieces of about a MiB.

        Raises:
            ArtifactMissing: It is not in the store.
        """
        blob = self._blob(digest)
        with _disk(what=digest):
            file = await asyncio.to_thread(blob.open, "rb")
            try:
                while piece := await asyncio.to_thread(file.read, _CHUNK):
                    yield piece
            finally:
                file.close()

    async def sweep(
        self, used: Callable[[Sequence[str]], Awaitable[Collection[str]]], *, older_than_s: float
    ) -> int:
        """
        Remove bytes that nothing uses; return how many files went.

        Args:
            used: Tells which of some digests are in use.
            older_than_s: What came in later stays: whoever sent it may be about to use it.
        """
        gone = 0
        found = await asyncio.to_thread(self._older_than, older_than_s)
        for start in range(0, len(found), _SWEPT):
            some = found[start : start + _SWEPT]
            kept = set(await used(some))
            for digest in some:
                if digest not in kept:
                    gone += await asyncio.to_thread(self._remove, digest, older_than_s)
        return gone

    def _older_than(self, seconds: float) -> list[str]:
        with _disk():
            return [
                f"sha256:{path.name}"
                for path in sorted(self._blobs.glob("*/*"))
                if time.time() - path.stat().st_mtime > seconds
            ]

    def _remove(self, digest: str, older_than_s: float) -> bool:
        blob = self._blob(digest)
        with self._moving, _disk(what=digest):
            if time.time() - blob.stat().st_mtime <= older_than_s:
                return False  # the same bytes came in anew meanwhile
            blob.unlink()
        return True

    async def _take(self, chunks: AsyncIterator[bytes], digest: str | None) -> StoredBlob:
        writer = await asyncio.to_thread(_Writer, self._temporary())
        try:
            held: list[bytes] = []
            waiting = 0
            async for chunk in chunks:
                held.append(chunk)
                waiting += len(chunk)
                if writer.size + waiting > self._max_file_bytes:
                    raise ArtifactTooLarge(self._max_file_bytes)
                if waiting >= _CHUNK:
                    await asyncio.to_thread(writer.write, held)
                    held, waiting = [], 0
            await asyncio.to_thread(writer.write, held)
            return await asyncio.to_thread(self._finish, writer, digest)
        finally:
            await asyncio.to_thread(writer.discard)

    def _finish(self, writer: "_Writer", digest: str | None) -> StoredBlob:
        actual = digest or writer.digest
        with self._moving:
            return StoredBlob(actual, writer.finish(actual, self._blob(actual)))

    async def import_file(self, source: Path) -> StoredFile:
        """
        Take over a file of this machine, by hard link where that is possible; trusted callers only.

        Raises:
            ArtifactMissing: There is no such file.
        """
        return await asyncio.to_thread(self._import, source)

    async def tree(self, files: Sequence[StoredFile]) -> Path:
        """
        Return a folder that holds these files under their own names, digests verified.

        Made at the first call, found at the next.

        Raises:
            ArtifactMissing: Bytes of one of the files are not in the store.
            DigestMismatch: The store's bytes were altered.
        """
        return await asyncio.to_thread(self._tree, tuple(files))

    async def text(self, digest: str, *, limit: int) -> str:
        """Read a small stored file as text, for model cards and the like."""
        blob = self._blob(digest)
        with _disk(what=digest):
            data = await asyncio.to_thread(_read, blob, limit)
        return data.decode("utf-8", errors="replace")

    def _import(self, source: Path) -> StoredFile:
        with _disk(what=source.name):
            digest, size = _hash(source)
            blob = self._blob(digest)
            if _size(blob) != size:
                temporary = self._temporary()
                try:
                    temporary.parent.mkdir(parents=True, exist_ok=True)
                    _link_or_copy(source, temporary)
                    if (copied := _hash(temporary)) != (digest, size):
                        raise DigestMismatch(digest, copied[0])
                    blob.parent.mkdir(parents=True, exist_ok=True)
                    temporary.replace(blob)
                finally:
                    temporary.unlink(missing_ok=True)
        return StoredFile(source.name, digest, size)

    def _tree(self, files: tuple[StoredFile, ...]) -> Path:
        final = self._trees / list_digest(files).removeprefix("sha256:")
        if final.is_dir():
            return final
        temporary = self._temporary()
        with _disk(what=", ".join(file.path for file in files)):
            try:
                for file in files:
                    blob = self._blob(file.digest)
                    if _size(blob) is None:
                        raise ArtifactMissing(f"{file.path} ({file.digest})")
                    digest, _ = _hash(blob)
                    if digest != file.digest:
                        raise DigestMismatch(file.digest, digest)
                    place = temporary / safe_path(file.path)
                    place.parent.mkdir(parents=True, exist_ok=True)
                    _link_or_copy(blob, place)
                final.parent.mkdir(parents=True, exist_ok=True)
                try:
                    temporary.rename(final)
                except OSError:
                    if not final.is_dir():  # another task made the same tree first
                        raise
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
        return final

    def _blob(self, digest: str) -> Path:
        match = _DIGEST.fullmatch(digest)
        if match is None:
            raise DigestMalformed(digest)
        name = match.group(1)
        return self._blobs / name[:2] / name

    def _temporary(self) -> Path:
        return self._incoming / uuid.uuid4().hex


class _Writer:
    """A file on its way in: written, hashed, and moved to its place only when it is right."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._hash = hashlib.sha256()
        self.size = 0
        with _disk():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("xb")

    def write(self, chunks: Sequence[bytes]) -> None:
        with _disk():
            for chunk in chunks:
                self._file.write(chunk)
                self._hash.update(chunk)
                self.size += len(chunk)

    @property
    def digest(self) -> str:
        return f"sha256:{self._hash.hexdigest()}"

    def finish(self, digest: str, blob: Path) -> int:
        if self.digest != digest:
            raise DigestMismatch(digest, self.digest)
        with _disk():
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            blob.parent.mkdir(parents=True, exist_ok=True)
            self._path.replace(blob)
        return self.size

    def discard(self) -> None:
        with suppress(OSError):  # what was still buffered found no room; the file goes anyway
            self._file.close()
        self._path.unlink(missing_ok=True)


def is_digest(text: str) -> bool:
    """Tell whether `text` is written as a digest."""
    return _DIGEST.fullmatch(text) is not None


def list_digest(files: Sequence[StoredFile]) -> str:
    """Digest of a list of files, over `path NUL digest NUL size LF`, sorted by path."""
    lines = sorted(f"{file.path}\0{file.digest}\0{file.size}\n" for file in files)
    return f"sha256:{hashlib.sha256(''.join(lines).encode()).hexdigest()}"


def safe_path(path: str) -> PurePosixPath:
    """
    Return a relative path that stays within its folder.

    Raises:
        ValueError: It is absolute, climbs out, or has a part that is no plain name.
    """
    pure = PurePosixPath(path)
    plain = all(part not in {"..", "."} and part.isprintable() for part in pure.parts)
    if not path or pure.is_absolute() or not plain or "\\" in path or str(pure) != path:
        raise ValueError(f"`{path[:200]}` is not a relative path of plain names")
    return pure


@contextmanager
def _disk(*, what: str = "file") -> Iterator[None]:
    """Say what a failing disk means for the caller."""
    try:
        yield
    except FileNotFoundError as error:
        raise ArtifactMissing(what) from error
    except OSError as error:
        if error.errno in _FULL:
            raise StorageFull(cause=str(error)) from error
        raise StorageFailed(cause=str(error)) from error


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def _read(path: Path, limit: int) -> bytes:
    with path.open("rb") as file:
        return file.read(limit)


def _hash(path: Path) -> tuple[str, int]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return f"sha256:{digest}", file.tell()


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source.resolve(), target)
    except OSError as error:
        if error.errno in _FULL:
            raise
        shutil.copyfile(source, target)  # another file system, or one without hard links
