"""What a store in a folder does to single files: write, hash, link, and say what a disk means."""

import errno
import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from towpath_server.adapters.objectstore.errors import (
    ArtifactMissing,
    DigestMismatch,
    StorageFailed,
    StorageFull,
)

_FULL = {errno.ENOSPC, errno.EDQUOT}
_FICLONE = 0x40049409  # `ioctl_ficlone(2)`: the copy shares its blocks until one of both changes


class Writer:
    """A file on its way in: written, hashed, and moved to its place only when it is right."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._hash = hashlib.sha256()
        self.size = 0
        with disk():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("xb")

    def write(self, chunks: Sequence[bytes]) -> None:
        """Add to it."""
        with disk():
            for chunk in chunks:
                self._file.write(chunk)
                self._hash.update(chunk)
                self.size += len(chunk)

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
            self._file.flush()
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
        with suppress(OSError):  # what was still buffered found no room; the file goes anyway
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
