"""Archives that reach out, or grow."""

import gzip
import io
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Mapping

from artifacts import onnx, safetensors, zipped

from hostile import CONTAINED, hostile
from hostile.pickled import calling


def _pushed(name: str, content: bytes) -> Mapping[str, bytes]:
    return {"model.safetensors": safetensors(), name: content}


def zip_file(name: str, what: str, reason: str):
    """Register a hostile archive beside a good model."""

    def register(make):
        hostile(name, what, form="safetensors", reason=reason)(lambda: _pushed("extra.zip", make()))
        return make

    return register


def _tar(*members: tuple[str, bytes, bytes, str]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, kind, content, link in members:
            entry = tarfile.TarInfo(name)
            entry.type, entry.size, entry.linkname = kind, len(content), link
            archive.addfile(entry, io.BytesIO(content))
    return out.getvalue()


@zip_file("zip-absolute", "an archive that writes to `/etc`", "EscapingPath")
def _() -> bytes:
    return zipped({"/etc/cron.d/x": b"x"})


@zip_file("zip-parent", "an archive that writes to a folder above", "EscapingPath")
def _() -> bytes:
    return zipped({"a/../../x": b"x"})


@zip_file("zip-link", "an archive with a symbolic link", "ArchiveLink")
def _() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        entry = zipfile.ZipInfo("link")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(entry, "/etc/passwd")
    return out.getvalue()


@zip_file("zip-bomb", "an archive of a few KiB that grows to 128 MiB", "ArchiveBomb")
def _() -> bytes:
    return zipped({"zeros": bytes(128 << 20)}, method=zipfile.ZIP_DEFLATED)


@zip_file("zip-overlap", "an archive whose entries share their bytes", "ArchiveBomb")
def _() -> bytes:
    data = zipped({"a": b"x" * 64, "b": b"x" * 64})
    at = data.rindex(b"PK\x01\x02")
    return data[: at + 42] + struct.pack("<I", 10) + data[at + 46 :]


@zip_file("zip-in-zip", "archives within archives, ten deep", "ArchiveBomb")
def _() -> bytes:
    data = b"end"
    for _ in range(10):
        data = zipped({"inner.zip": data})
    return data


@zip_file("zip-encrypted", "an archive that cannot be looked into", "ArchiveOpaque")
def _() -> bytes:
    data = bytearray(zipped({"secret": b"x"}))
    data[6] |= 1
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


@zip_file("zip-hidden-start", "an archive with a program in front", "NativeCode")
def _() -> bytes:
    return b"\x7fELF" + bytes(60) + zipped({"a": b"b"})


@zip_file("zip-cut", "an archive without its end", "Truncated")
def _() -> bytes:
    return zipped({"a": b"b" * 100})[:-30]


@hostile("seven-zip", "an archive of a kind that is not read", form="onnx", reason="ArchiveOpaque")
def _() -> Mapping[str, bytes]:
    return {"model.onnx": onnx(), "more.7z": b"7z\xbc\xaf\x27\x1c" + bytes(64)}


for _name, _kind, _what in (
    ("symlink", tarfile.SYMTYPE, "a symbolic link to `/etc/passwd`"),
    ("hardlink", tarfile.LNKTYPE, "a hard link to `/etc/passwd`"),
    ("device", tarfile.CHRTYPE, "a device"),
):

    @hostile(
        f"tar-{_name}", f"a tar archive with {_what}", form="safetensors", reason="ArchiveLink"
    )
    def _(kind=_kind) -> Mapping[str, bytes]:
        return _pushed("extra.tar", _tar(("x", kind, b"", "/etc/passwd")))


@hostile(
    "tar-parent",
    "a packed tar archive that writes to a folder above",
    form="safetensors",
    reason="EscapingPath",
)
def _() -> Mapping[str, bytes]:
    content = _tar(("../../x", tarfile.REGTYPE, b"x", ""))
    return _pushed("extra.tar.gz", gzip.compress(content))


@hostile(
    "tar-with-pickle",
    "a packed tar archive with a pickle that calls `os.system`",
    form="python",
    reason="DangerousPickle",
)
def _() -> Mapping[str, bytes]:
    content = _tar(("model/weights.ckpt", tarfile.REGTYPE, calling("os", "system"), ""))
    return {"model.nemo": gzip.compress(content), "serve.py": b"x = 1\n"}


@hostile("gzip-bomb", "a file that grows a thousandfold", form="safetensors", reason="ArchiveBomb")
def _() -> Mapping[str, bytes]:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    data = b"".join(packer.compress(bytes(1 << 20)) for _ in range(128)) + packer.flush()
    return _pushed("extra.gz", data)


@hostile(
    "wheel",
    "a Python package in a format for code: registered, and deployed on runtimes for code alone",
    form="python",
    reason="PythonCode",
    outcome=CONTAINED,
)
def _() -> Mapping[str, bytes]:
    files = {"pkg/__init__.py": b"x = 1\n", "pkg-1.0.dist-info/METADATA": b"Name: pkg\n"}
    return {"pkg-1.0-py3-none-any.whl": zipped(files)}


@hostile(
    "wheel-beside-weights",
    "a Python package beside weights",
    form="safetensors",
    reason="PythonCode",
)
def _() -> Mapping[str, bytes]:
    files = {"pkg/__init__.py": b"x = 1\n", "pkg-1.0.dist-info/METADATA": b"Name: pkg\n"}
    return _pushed("pkg-1.0-py3-none-any.whl", zipped(files))
