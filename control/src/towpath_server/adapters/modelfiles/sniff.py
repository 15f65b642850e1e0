"""What a file is, by its content and never by its name."""

import re

from towpath_server.adapters.modelfiles import gguf, onnx, pickles, safetensors
from towpath_server.adapters.modelfiles.window import Window

HEAD = 4096  # bytes that every magic number stands within

_MAGIC = (
    (gguf.MAGIC, "gguf"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"PK\x07\x08", "zip"),
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x28\xb5\x2f\xfd", "opaque"),  # zstd
    (b"7z\xbc\xaf\x27\x1c", "opaque"),
    (b"Rar!\x1a\x07", "opaque"),
    (b"\x04\x22\x4d\x18", "opaque"),  # lz4
    (b"\x7fELF", "native"),
    (b"\xcf\xfa\xed\xfe", "native"),
    (b"\xce\xfa\xed\xfe", "native"),
    (b"\xca\xfe\xba\xbe", "native"),  # Mach-O of several architectures, and Java's classes
    (b"\xfe\xed\xfa\xce", "native"),
    (b"\xfe\xed\xfa\xcf", "native"),
    (b"\x00asm", "native"),
    (b"!<arch>\n", "native"),
    (b"\x89HDF\r\n\x1a\n", "hdf5"),
    (b"\x93NUMPY", "npy"),
    (b"RDX", "r"),
    (b"RDA", "r"),
    (b"X\n\x00\x00\x00", "r"),
    (b"#!", "script"),
)
_PYC = re.compile(rb"[\x00-\xff][\x0c\x0d]\r\n")  # magic numbers of CPython 3
_ZLIB = {b"\x78\x01", b"\x78\x5e", b"\x78\x9c", b"\x78\xda"}
_TAR_AT = 257


def kind(window: Window) -> str:
    """
    Name the kind of a file.

    One of `gguf`, `onnx`, `safetensors`, `pickle`, `npy`, `hdf5`, `zip`, `tar`, `gzip`, `bzip2`,
    `xz`, `zlib`, `opaque` (archives that are not read here), `native`, `bytecode`, `script`, `r`,
    `json`, `xml`, `text`, `empty`, `unknown`.
    """
    head = window.some(0, HEAD)
    if not head:
        return "empty"
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    if head[_TAR_AT : _TAR_AT + 5] == b"ustar":
        return "tar"
    return _by_structure(window, head)


def _by_structure(window: Window, head: bytes) -> str:
    checks = (
        ("native", head.startswith(b"MZ") and _is_pe(window)),
        ("safetensors", safetensors.plausible(window)),
        ("onnx", head[0] == 0x08 and onnx.plausible(window)),
        ("pickle", _maybe_pickle(head) and pickles.looks_like(window.some(0, pickles.MAX_BYTES))),
        ("bytecode", _PYC.match(head) is not None),
        ("zlib", head[:2] in _ZLIB),
    )
    return next((name for name, holds in checks if holds), None) or _text(head)


def _maybe_pickle(head: bytes) -> bool:
    return head[0] == 0x80 or head[:1] in b"(cI]}l0gNSVdi"


def _is_pe(window: Window) -> bool:
    if window.size < 0x40:
        return False
    at = window.number(0x3C, "<I")
    return window.some(min(at, window.size), 4) == b"PE\0\0"


def _text(head: bytes) -> str:
    if b"\0" in head:
        return "unknown"
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:64].lower()
    if start[:1] in {b"{", b"["}:
        return "json"
    if start.startswith((b"<?xml", b"<!doctype", b"<pmml")):
        return "xml"
    try:
        head[: len(head) - 4].decode("utf-8") if len(head) > 4 else head.decode("utf-8")
    except UnicodeDecodeError as error:
        return "text" if error.start > len(head) - 8 else "unknown"
    return "text"
