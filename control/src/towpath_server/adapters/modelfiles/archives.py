"""
Looks into archives without unpacking them to disk: links, escaping names, bombs, and each file.

What stands in a member is examined as if it had been pushed by itself, a bounded part of it.
"""

import bz2
import gzip
import importlib
import io
import lzma
import stat
import struct
import tarfile
import zipfile
import zlib
from dataclasses import dataclass
from typing import BinaryIO, Protocol, cast

from towpath_server.adapters.modelfiles import reasons
from towpath_server.adapters.modelfiles.onnx import escapes
from towpath_server.adapters.modelfiles.report import Notes, Unsound

MAX_DEPTH = 3  # archives within archives; a wheel in an archive of a folder is 2
_MAX_MEMBERS = 100_000
_MEMBER = 16 << 20  # bytes of a member that are looked at: headers and pickles are smaller
_HEAD = 64 << 10  # once the budget is spent
_BUDGET = 512 << 20  # of one archive
_RATIO = 500  # what text of one letter reaches; a bomb is far beyond
_SMALL = 64 << 20  # growth to this size hurts nobody, whatever its ratio
# What the readers of the standard library raise on bytes that are not what they should be.
_DAMAGED = (
    EOFError,
    KeyError,
    IndexError,
    NotImplementedError,
    OSError,
    RuntimeError,
    ValueError,
    lzma.LZMAError,
    struct.error,
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
)
_READABLE = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA}


class Look(Protocol):
    """Examines a member."""

    def __call__(self, file: BinaryIO, name: str, *, whole: bool) -> None:
        """Examine its beginning; `whole` says that this is all of it."""
        ...


@dataclass
class _Budget:
    left: int = _BUDGET

    def piece(self) -> int:
        """Say how much of the next member is looked at."""
        return _MEMBER if self.left > _MEMBER else _HEAD


def examine_zip(file: BinaryIO, notes: Notes, look: Look) -> list[str]:
    """
    Look into a ZIP archive; return the names in it.

    Raises:
        Unsound: It cannot be read, or it is a bomb.
    """
    try:
        archive = zipfile.ZipFile(file)
    except _DAMAGED as error:
        raise Unsound(reasons.TRUNCATED, f"The ZIP archive cannot be read: {error}.") from error
    members = archive.infolist()
    if len(members) > _MAX_MEMBERS:
        raise Unsound(reasons.ARCHIVE_BOMB, f"The archive has {len(members)} entries.")
    if members and min(one.header_offset for one in members) > 0:
        notes.add(reasons.POLYGLOT, "Something stands before the archive's first entry.")
    _check_overlap(members)
    _check_growth(sum(one.file_size for one in members), sum(one.compress_size for one in members))
    budget = _Budget()
    for member in members:
        _check_name(member.filename, notes)
        if stat.S_ISLNK(member.external_attr >> 16):
            notes.add(reasons.ARCHIVE_LINK, f"`{member.filename}` is a link.")
        elif member.flag_bits & 1 or member.compress_type not in _READABLE:
            notes.add(reasons.ARCHIVE_OPAQUE, f"`{member.filename}` cannot be read.")
        elif not member.filename.endswith("/"):
            _look_at(archive, member, budget, look)
    return [member.filename for member in members]


def _look_at(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, budget: _Budget, look: Look
) -> None:
    most = budget.piece()
    try:
        with archive.open(member) as stream:
            data = stream.read(most)
    except _DAMAGED as error:
        detail = f"`{member.filename}` in the archive is damaged: {error}."
        raise Unsound(reasons.MALFORMED, detail) from error
    budget.left -= len(data)
    look(io.BytesIO(data), member.filename, whole=len(data) == member.file_size)


def _check_overlap(members: list[zipfile.ZipInfo]) -> None:
    end = 0
    for one in sorted(members, key=lambda member: member.header_offset):
        if one.header_offset < end:
            raise Unsound(
                reasons.ARCHIVE_BOMB, f"`{one.filename}` shares its bytes with another entry."
            )
        end = one.header_offset + one.compress_size


def _check_growth(grown: int, packed: int) -> None:
    if grown > _SMALL and grown > _RATIO * max(1, packed):
        raise Unsound(
            reasons.ARCHIVE_BOMB, f"{packed} bytes grow to {grown} when they are unpacked."
        )


def _check_name(name: str, notes: Notes) -> None:
    if escapes(name.rstrip("/")) and name not in {"./", "."}:
        notes.add(reasons.ESCAPING_PATH, f"The archive holds `{name}`, outside its own folder.")


def examine_tar(file: BinaryIO, notes: Notes, look: Look) -> None:
    """
    Look into a tar archive, read from front to end.

    Raises:
        Unsound: It cannot be read, or it is a bomb.
    """
    budget = _Budget()
    try:
        with tarfile.open(fileobj=file, mode="r|") as archive:
            for count, member in enumerate(archive):
                if count > _MAX_MEMBERS:
                    raise Unsound(reasons.ARCHIVE_BOMB, "The archive has too many entries.")
                _check_name(member.name, notes)
                if member.issym() or member.islnk():
                    notes.add(
                        reasons.ARCHIVE_LINK, f"`{member.name}` is a link to `{member.linkname}`."
                    )
                elif member.isdev():
                    notes.add(reasons.ARCHIVE_LINK, f"`{member.name}` is a device.")
                elif member.isfile() and (stream := archive.extractfile(member)) is not None:
                    data = stream.read(budget.piece())
                    budget.left -= len(data)
                    look(io.BytesIO(data), member.name, whole=len(data) == member.size)
    except _DAMAGED as error:
        raise Unsound(reasons.TRUNCATED, f"The tar archive cannot be read: {error}.") from error


class Growing(io.RawIOBase):
    """A decompressed stream that stops when it has grown beyond measure."""

    def __init__(self, source: BinaryIO, kind: str, packed: int) -> None:
        self._inner = _opened(source, kind)
        self._packed = packed
        self._grown = 0

    def readable(self) -> bool:
        """Say yes."""
        return True

    def readinto(self, into: "memoryview | bytearray") -> int:  # type: ignore[override]
        """Read on."""
        data = self._inner.read(min(len(into), 1 << 20))
        self._grown += len(data)
        _check_growth(self._grown, self._packed)
        into[: len(data)] = data
        return len(data)


def _opened(source: BinaryIO, kind: str) -> BinaryIO:
    if kind == "gzip":
        return cast(BinaryIO, gzip.GzipFile(fileobj=source))
    if kind == "bzip2":
        return cast(BinaryIO, bz2.BZ2File(source))
    if kind == "xz":
        return cast(BinaryIO, lzma.LZMAFile(source))
    if kind == "zstd":  # loaded only where a layer is packed with it
        zstd = importlib.import_module("towpath_server.adapters.modelfiles.zstd")
        return cast(BinaryIO, zstd.Stream(source))
    return cast(BinaryIO, _Zlib(source))


class _Zlib:
    """A zlib stream, as joblib writes them."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._inflate = zlib.decompressobj()

    def read(self, most: int) -> bytes:
        return self._inflate.decompress(
            self._inflate.unconsumed_tail or self._source.read(1 << 16), most
        )


def examine_stream(file: BinaryIO, kind: str, packed: int, notes: Notes, look: Look) -> None:
    """
    Look into one compressed stream: a tar archive, or a single file.

    Raises:
        Unsound: It cannot be read, or it is a bomb.
    """
    stream = io.BufferedReader(Growing(file, kind, packed), 1 << 16)
    try:
        head = stream.peek(512)[:512]
        if head[257:262] == b"ustar":
            examine_tar(cast(BinaryIO, stream), notes, look)
            return
        data = stream.read(_MEMBER)
        whole = len(data) < _MEMBER
        # The rest is only counted: what grows beyond measure is a bomb, wherever it does.
        while not whole and stream.read(1 << 20):
            pass
    except _DAMAGED as error:
        raise Unsound(reasons.TRUNCATED, f"It cannot be decompressed: {error}.") from error
    look(io.BytesIO(data), "", whole=whole)


def member(file: BinaryIO, name: str, most: int) -> bytes:
    """
    Return the beginning of one file of a ZIP archive that was looked into before.

    Raises:
        Unsound: It is damaged.
    """
    file.seek(0)
    try:
        with zipfile.ZipFile(file) as archive, archive.open(name) as stream:
            return stream.read(most)
    except _DAMAGED as error:
        raise Unsound(reasons.MALFORMED, f"`{name}` in the archive is damaged.") from error
