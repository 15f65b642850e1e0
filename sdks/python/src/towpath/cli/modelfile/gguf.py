"""
The header of a GGUF file: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.

Only what stands before the tensors is read, and never more of it than a header can be.
"""

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

MAGIC = b"GGUF"
_MAX_HEADER = 256 << 20  # the vocabulary of a large model is some ten megabytes
_MAX_ENTRIES = 100_000
_SCALARS = dict(zip((0, 1, 2, 3, 4, 5, 6, 7, 10, 11, 12), "BbHhIif?Qqd", strict=True))
_STRING, _ARRAY = 8, 9
# `general.file_type`, the enumeration `llama_ftype` of llama.cpp's `llama.h`.
_FILE_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K",
    11: "Q3_K_S", 12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S",
    17: "Q5_K_M", 18: "Q6_K", 32: "BF16",
}  # fmt: skip


def metadata(path: Path) -> Mapping[str, Any]:
    """
    Return the key-value pairs of a header; of arrays their length alone.

    Raises:
        ValueError: It is no GGUF file, or it ends too early.
    """
    with path.open("rb") as file:
        if file.read(4) != MAGIC:
            raise ValueError("it does not begin as a GGUF file")
        version, _, count = _read(file, "<IQQ")
        if version not in {2, 3} or count > _MAX_ENTRIES:
            raise ValueError(f"its header is not readable (version {version}, {count} entries)")
        return {_string(file): _value(file, _read(file, "<I")[0]) for _ in range(count)}


def words(found: Mapping[str, Any]) -> tuple[tuple[str, ...], int | None]:
    """Say what a header tells: facts in words, and the context length the model was made for."""
    architecture = str(found.get("general.architecture", ""))
    context = found.get(f"{architecture}.context_length")
    kind = _FILE_TYPES.get(found.get("general.file_type", -1))
    length = context if isinstance(context, int) else None
    facts = [architecture, kind, f"context {length:,}" if length else None]
    return tuple(fact for fact in facts if fact), length


def _value(file: BinaryIO, kind: int) -> Any:
    if kind == _STRING:
        return _string(file)
    if kind != _ARRAY:
        if kind not in _SCALARS:
            raise ValueError(f"its header has a value of the unknown kind {kind}")
        return _read(file, f"<{_SCALARS[kind]}")[0]
    inner, count = _read(file, "<IQ")
    if inner in _SCALARS:
        _skip(file, struct.calcsize(f"<{_SCALARS[inner]}") * count)
    elif inner == _STRING:
        for _ in range(count):
            _skip(file, _read(file, "<Q")[0])
    else:
        raise ValueError("its header has lists of lists")
    return count


def _string(file: BinaryIO) -> str:
    (size,) = _read(file, "<Q")
    if size > _MAX_HEADER:
        raise ValueError("its header has a text without end")
    found = file.read(size)
    if len(found) < size:
        raise ValueError("it ends within its header")
    return found.decode("utf-8", "replace")


def _read(file: BinaryIO, layout: str) -> tuple[Any, ...]:
    size = struct.calcsize(layout)
    found = file.read(size)
    if len(found) < size:
        raise ValueError("it ends within its header")
    return struct.unpack(layout, found)


def _skip(file: BinaryIO, size: int) -> None:
    if size > _MAX_HEADER or file.tell() > _MAX_HEADER:
        raise ValueError("its header has no end")
    file.seek(size, 1)
