"""
What the domains need of a place for bytes, wherever it is.

Bytes are known by their SHA-256 and kept once. A store promises that what stands under a digest is
whole and has that digest: nothing appears there before it was verified.
"""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol, TypeVar

from towpath_server.adapters.objectstore.errors import DigestMismatch

CHUNK = 1 << 20  # one hand-over to a thread per MiB: its cost vanishes beside hashing as much
MAX_FILE_BYTES = 256 << 30  # above the largest published weight shards; bounds a runaway upload

_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")

Piece = bytes | memoryview
"""Bytes on their way into a store; a view, where a copy would cost as much as the way itself."""
P = TypeVar("P", bound=Piece)


@dataclass(frozen=True)
class Kept:
    """What a machine keeps of a store."""

    size: int
    """Bytes."""
    most: int | None
    """Bound of them; none: they are the store's own."""


Progress = Callable[[int], None]
"""Hears of bytes as they are moved; each number adds to the former ones."""


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


class ArtifactStore(Protocol):
    """Content-addressed bytes, uploads on their way to it, and folders that programs read."""

    def prepare(self) -> None:
        """Make what must exist locally, and remove what interrupted work left; no network."""
        ...

    async def size(self, digest: str) -> int | None:
        """Return how many bytes are stored under `digest`; none when it is not there."""
        ...

    async def put(self, digest: str, chunks: AsyncIterator[Piece]) -> int:
        """
        Store a stream under its digest; return its size.

        Raises:
            DigestMismatch: The stream has another digest; nothing is kept.
            ArtifactTooLarge: It is longer than one file may be.
            StorageFull: There is no room for it.
        """
        ...

    async def take(self, chunks: AsyncIterator[bytes]) -> StoredBlob:
        """
        Store a stream whose digest its sender does not know; return digest and size.

        Raises:
            ArtifactTooLarge: It is longer than one file may be.
            StorageFull: There is no room for it.
        """
        ...

    def chunks(
        self, digest: str, *, offset: int = 0, length: int | None = None
    ) -> AsyncIterator[bytes]:
        """
        Read a stored file, or a part of it, in pieces of about a MiB.

        Raises:
            ArtifactMissing: It is not in the store.
        """
        ...

    async def text(self, digest: str, *, limit: int) -> str:
        """Read a small stored file as text, for model cards and the like."""
        ...

    async def import_file(self, source: Path) -> StoredFile:
        """
        Take over a file of this machine; trusted callers only.

        Raises:
            ArtifactMissing: There is no such file.
        """
        ...

    async def tree(self, files: Sequence[StoredFile], *, progress: Progress | None = None) -> Path:
        """
        Return a folder of this machine that holds these files under their names, verified.

        Made at the first call, found at the next. Whoever goes on using it calls again at least
        once a minute: what nobody asks for may make room for something else.

        Raises:
            ArtifactMissing: Bytes of one of the files are not in the store.
            DigestMismatch: The store's bytes were altered.
            StorageFull: This machine has no room for it.
        """
        ...

    async def forget_trees(self, keep: Collection[str], *, idle_s: float) -> None:
        """
        Remove folders that nobody asked for in a while; their bytes stay in the store.

        Args:
            keep: Folders that stay whatever is asked for, by the digests of their lists.
        """
        ...

    def kept(self) -> Kept:
        """Measure what this machine keeps of it, file by file: it belongs in a thread."""
        ...

    async def append(self, upload: str, offset: int, chunks: AsyncIterator[bytes]) -> int:
        """
        Add to an upload from `offset` on, which must be where it stands; return where it is now.

        What came in stays when the stream breaks off.

        Raises:
            OffsetConflict: It stands elsewhere; the error says where.
            StorageFull: There is no room for it.
        """
        ...

    async def received(self, upload: str) -> int:
        """Return how many bytes of an upload are there."""
        ...

    async def finish(self, upload: str, digest: str) -> int:
        """
        Store what an upload brought under its digest; return its size.

        The upload stays until it is discarded, so that this may be done twice.

        Raises:
            DigestMismatch: It has another digest; the upload is gone.
        """
        ...

    async def discard(self, upload: str) -> None:
        """Forget an upload; one that is not there is none."""
        ...

    def aged(self, older_than_s: float) -> AsyncIterator[Sequence[StoredBlob]]:
        """List in portions what came in, or came in anew, longer ago."""
        ...

    async def remove(self, digest: str, *, older_than_s: float) -> bool:
        """Remove bytes unless they came in anew since; tell whether they went."""
        ...


async def gathered(chunks: AsyncIterator[Piece]) -> AsyncIterator[Sequence[Piece]]:
    """Give small pieces on together, also those that came before a stream broke off."""
    held: list[Piece] = []
    waiting = 0
    try:
        async for chunk in chunks:
            held.append(chunk)
            waiting += len(chunk)
            if waiting >= CHUNK:
                yield held
                held, waiting = [], 0
    except Exception:
        yield held
        raise
    yield held


async def verified(chunks: AsyncIterator[P], digest: str) -> AsyncIterator[P]:
    """
    Give a whole content on, its last piece only when all of it has the digest.

    Raises:
        DigestMismatch: It was altered.
    """
    hashed, held = hashlib.sha256(), None
    async for chunk in chunks:
        if held is not None:
            yield held
        await asyncio.to_thread(hashed.update, chunk)
        held = chunk
    actual = f"sha256:{hashed.hexdigest()}"
    if actual != digest:
        raise DigestMismatch(digest, actual)
    if held is not None:
        yield held


def is_digest(text: str) -> bool:
    """Tell whether `text` is written as a digest."""
    return _DIGEST.fullmatch(text) is not None


def hex_of(digest: str) -> str | None:
    """Return the hexadecimal digits of a digest; none when it is not one."""
    match = _DIGEST.fullmatch(digest)
    return match.group(1) if match else None


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
