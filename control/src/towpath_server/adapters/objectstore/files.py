"""What a store in a folder does to single files: write, hash, link, and say what a disk means."""

import errno
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from io import RawIOBase
from pathlib import Path

from towpath_server.adapters.objectstore.errors import (
    ArtifactMissing,
    DigestMismatch,
    StorageFailed,
    StorageFull,
)
from towpath_server.adapters.objectstore.store import Piece

_FULL = {errno.ENOSPC, errno.EDQUOT}
_SLICE = 256 << 10
_BEGUN = 32 << 20  # enough for a disk to write at once, little enough to be over soon
_FICLONE = 0x40049409  # `ioctl_ficlone(2)`: the copy shares its blocks until one of both changes


class Writer:
    """A file on its way in: written, hashed, and moved to its place only when it is right."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._hash = hashlib.sha256()
        self.size = 0
        self._begun = 0
        with disk():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("xb", buffering=0)

    def write(self, chunks: Sequence[Piece]) -> None:
        """Add to it; what was added is hashed by `hash`, which may run meanwhile."""
        with disk():
            for chunk in chunks:
                write(self._file, chunk)
                self.size += len(chunk)
            if self.size - self._begun >= _BEGUN:
                self._begin()

    def hash(self, chunks: Sequence[Piece]) -> None:
        """Hash what is added."""
        for chunk in chunks:
            self._hash.update(chunk)

    def _begin(self) -> None:
        """
        Have the kernel begin to bring it to the disk, so that `finish` has little left to wait for.

        Nothing waits here: what is new is only begun, and what lies on the disk already, and alone
        would leave the memory, is not named again.
        """
        at, size = self._begun, self.size - self._begun
        with suppress(OSError):  # a file system that has no use for it
            os.posix_fadvise(self._file.fileno(), at, size, os.POSIX_FADV_DONTNEED)
        self._begun = self.size

    @property
    def digest(self) -> str:
        """Return the digest of what was written so far."""
        return f"sha256:{self._hash.hexdigest()}"

    def finish(self, digest: str, blob: Path) -> int:
        """
        Move it to its place, on the disk for good; return its size.

        Raises:
            DigestMismatch: It is something else.
        """
        if self.digest != digest:
            raise DigestMismatch(digest, self.digest)
        with disk():
            os.fsync(self._file.fileno())
            self._file.close()
            blob.parent.mkdir(parents=True, exist_ok=True)
            self._path.replace(blob)
        return self.size

    def close(self) -> Path:
        """Write no more; return where it lies."""
        with disk():
            self._file.close()
        return self._path

    def discard(self) -> None:
        """Remove what is not in its place yet."""
        with suppress(OSError):  # what the disk has not taken goes with the file
            self._file.close()
        self._path.unlink(missing_ok=True)


@contextmanager
def disk(*, what: str = "file") -> Iterator[None]:
    """Say what a failing disk means for the caller."""
    try:
        yield
    except FileNotFoundError as error:
        raise ArtifactMissing(what) from error
    except OSError as error:
        if error.errno in _FULL:
            raise StorageFull(cause=str(error)) from error
        raise StorageFailed(cause=str(error)) from error


def write(file: RawIOBase, piece: Piece) -> None:
    """
    Write a piece to an unbuffered file, in slices.

    For one write of many MiB, the kernel looks for as large blocks of memory, and those are seldom
    at hand: on a virtual machine it took six times as long as in slices.
    """
    rest = memoryview(piece)
    while rest:
        rest = rest[file.write(rest[:_SLICE]) or 0 :]


def size(path: Path) -> int | None:
    """Return a file's size; none when it is not there."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None


def read(path: Path, limit: int) -> bytes:
    """Read the beginning of a file."""
    with path.open("rb") as file:
        return file.read(limit)


def digest(path: Path) -> tuple[str, int]:
    """Return digest and size of a file."""
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
        return f"sha256:{found}", file.tell()


def link_or_copy(source: Path, target: Path) -> None:
    """Let a second name share a file's blocks where the file system can; copy it elsewhere."""
    try:
        os.link(source.resolve(), target)
    except OSError as error:
        if error.errno in _FULL:
            raise
        _clone_or_copy(source, target)  # another file system, or one without hard links


def _clone_or_copy(source: Path, target: Path) -> None:
    with source.open("rb") as original, target.open("wb") as copy:
        try:
            fcntl.ioctl(copy.fileno(), _FICLONE, original.fileno())
        except OSError:
            shutil.copyfileobj(original, copy, 1 << 20)
