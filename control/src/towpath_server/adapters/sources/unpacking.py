"""
Taking a model's files out of a tar archive that a stranger made.

Files with plain names come out, each under a number; nothing is written where the archive says, and
nothing is a link. What grows beyond measure, or fills the disk, ends it.
"""

import hashlib
import shutil
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import IO, BinaryIO, cast

from towpath_server.adapters.modelfiles.archives import Growing
from towpath_server.adapters.modelfiles.report import Unsound
from towpath_server.adapters.objectstore.errors import StorageFull
from towpath_server.adapters.sources import selection
from towpath_server.adapters.sources.errors import SourceFailed
from towpath_server.adapters.sources.model import MAX_FILES

_MAX_MEMBERS = 200_000  # of a whole image, its operating system among them
_MAX_HEADER_BYTES = 1 << 20
_PIECE_BYTES = 1 << 20
_LEAST_FREE_BYTES = 512 << 20
"""Room that is left on the disk: the platform's database may lie there, too."""
_HEADERS = {
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
}
_DAMAGED = (tarfile.TarError, EOFError, ValueError, OverflowError, Unsound)


@dataclass(frozen=True)
class Unpacked:
    """A file that came out."""

    path: str
    """Its name in the archive, below the folder that was asked for."""
    file: Path
    size: int
    digest: str


@dataclass(frozen=True)
class Unpacker:
    """Takes files out into a folder of its own; it blocks, until `stop` is set at the latest."""

    folder: Path
    stop: threading.Event
    numbers: Iterator[int] = field(default_factory=count)

    def files(self, archive: Path, *, packing: str | None, below: str) -> list[Unpacked]:
        """
        Take out the files below a folder of the archive.

        Raises:
            SourceFailed: It is no archive, is a bomb, or has there what is no plain file.
            StorageFull: There is no room.
        """
        try:
            with archive.open("rb") as packed:
                stream: BinaryIO = packed
                if packing is not None:
                    growing = Growing(packed, packing, archive.stat().st_size)
                    stream = cast(BinaryIO, growing)
                with tarfile.open(fileobj=stream, mode="r|", tarinfo=_Bounded) as tar:
                    return list(self._all(tar, below))
        except _DAMAGED as error:
            raise SourceFailed(
                "Unreadable",
                f"A layer is no archive that can be read: {str(error).rstrip('.')}.",
                fix="Push the model anew.",
            ) from error

    def _all(self, tar: tarfile.TarFile, below: str) -> Iterator[Unpacked]:
        taken = 0
        for place, member in enumerate(tar):
            if place > _MAX_MEMBERS or taken > MAX_FILES:
                raise selection.too_many()
            self._check_stop()
            path = member.name.removeprefix("./").lstrip("/")
            if not path.startswith(below) or member.isdir() or path in {"", "."}:
                continue
            _refuse_specials(member, path)
            opened = tar.extractfile(member)
            if opened is None:
                continue
            taken += 1
            yield self._one(path.removeprefix(below), opened)

    def _one(self, path: str, opened: IO[bytes]) -> Unpacked:
        file, hashed, size = self.folder / str(next(self.numbers)), hashlib.sha256(), 0
        with file.open("xb") as out:
            while piece := opened.read(_PIECE_BYTES):
                self._check_stop()
                room_for(self.folder, len(piece))
                hashed.update(piece)
                out.write(piece)
                size += len(piece)
        return Unpacked(path, file, size, f"sha256:{hashed.hexdigest()}")

    def _check_stop(self) -> None:
        if self.stop.is_set():
            raise ValueError("it was given up")


class _Bounded(tarfile.TarInfo):
    """An entry whose headers are bounded: the library reads each of them whole."""

    def _proc_member(self, tar: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type in _HEADERS and self.size > _MAX_HEADER_BYTES:
            raise tarfile.ReadError(f"a header has {self.size} bytes")
        return super()._proc_member(tar)  # type: ignore[misc]


def room_for(folder: Path, size: int) -> None:
    """
    Make sure that the disk has room for more.

    Raises:
        StorageFull: It would be full.
    """
    free = shutil.disk_usage(folder).free
    if free - size < _LEAST_FREE_BYTES:
        raise StorageFull(cause=f"{free} bytes are free")


def _refuse_specials(member: tarfile.TarInfo, path: str) -> None:
    name = path.rpartition("/")[2]
    if name.startswith(".wh."):
        raise SourceFailed(
            "Unsupported",
            f"A layer removes `{path[:200]}` of another, which is not followed.",
            fix="Build the image so that its model lies in layers that remove nothing.",
        )
    if not member.isreg() or member.issparse():
        raise SourceFailed(
            "UnsafePath",
            f"`{path[:200]}` in a layer is a link or another special file.",
            fix="Put the file itself there.",
        )
