"""GGUF and safetensors files that lie about themselves."""

import json
import struct
from collections.abc import Mapping

from artifacts import folder, gguf, gguf_entry, gguf_text, safetensors, zipped

from hostile import hostile


def gguf_file(name: str, what: str, reason: str):
    """Register a hostile GGUF file."""

    def register(make):
        hostile(name, what, form="gguf", reason=reason)(lambda: {"model.gguf": make()})
        return make

    return register


@gguf_file("gguf-absurd-counts", "a GGUF that announces 2⁶³ tensors", "TooLarge")
def _() -> bytes:
    return gguf(counts=(1 << 63, 8))


@gguf_file("gguf-absurd-entries", "a GGUF that announces four billion entries", "TooLarge")
def _() -> bytes:
    return gguf(counts=(1, 1 << 32))


@gguf_file("gguf-text-overflow", "a GGUF with a text of 2⁶⁴ bytes, but one", "TooLarge")
def _() -> bytes:
    return b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, (1 << 64) - 1) + b"key"


@gguf_file("gguf-array-overflow", "a GGUF with an array of 2⁶² elements", "TooLarge")
def _() -> bytes:
    head = b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + gguf_text("a")
    return head + struct.pack("<IIQ", 9, 4, 1 << 62)


@gguf_file("gguf-nested-arrays", "a GGUF with arrays within arrays", "Malformed")
def _() -> bytes:
    head = b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + gguf_text("a")
    return head + struct.pack("<I", 9) + struct.pack("<IQ", 9, 1) * 5_000


@gguf_file(
    "gguf-size-overflow",
    "a GGUF whose tensor's dimensions multiply beyond 64 bits",
    "TooLarge",
)
def _() -> bytes:
    return gguf(tensors=[("w", (1 << 40, 1 << 40), 0, 0)])


@gguf_file("gguf-dimensions", "a GGUF whose tensor has four billion dimensions", "TooLarge")
def _() -> bytes:
    good = gguf(tensors=[("w", (), 0, 0)])
    return good.replace(
        struct.pack("<Q", 1) + b"w" + struct.pack("<I", 0),
        struct.pack("<Q", 1) + b"w" + struct.pack("<I", 0xFFFFFFFF),
    )


@gguf_file("gguf-unknown-type", "a GGUF with a tensor of a type that is none", "Malformed")
def _() -> bytes:
    return gguf(tensors=[("w", (32,), 4_000, 0)])


@gguf_file("gguf-overlap", "a GGUF with two tensors on the same bytes", "Overlap")
def _() -> bytes:
    return gguf(tensors=[("a", (64,), 0, 0), ("b", (64,), 0, 32)])


@gguf_file("gguf-beyond-the-end", "a GGUF with a tensor behind the end of the file", "Truncated")
def _() -> bytes:
    return gguf(tensors=[("w", (64,), 0, 1 << 20)])


@gguf_file("gguf-cut", "a GGUF that was not copied whole", "Truncated")
def _() -> bytes:
    return gguf()[:-100]


@gguf_file("gguf-cut-header", "a GGUF that ends within its header", "Truncated")
def _() -> bytes:
    return gguf()[:90]


@gguf_file("gguf-alignment", "a GGUF that aligns tensors to zero bytes", "Malformed")
def _() -> bytes:
    return gguf({"general.alignment": 0})


@gguf_file("gguf-same-key-twice", "a GGUF whose second template replaces the first", "Malformed")
def _() -> bytes:
    good = gguf()
    twice = gguf_entry("general.name", "tiny")
    assert twice in good
    head = b"GGUF" + struct.pack("<IQQ", 3, 1, 9)
    return head + twice + good[24:]


@gguf_file("gguf-with-archive", "a GGUF with a ZIP archive at its end", "Polyglot")
def _() -> bytes:
    return gguf() + zipped({"__main__.py": b"print(1)"})


def safetensors_file(name: str, what: str, reason: str):
    """Register a hostile safetensors file in a folder."""

    def register(make):
        @hostile(name, what, form="safetensors", reason=reason)
        def _() -> Mapping[str, bytes]:
            return folder(more={"model.safetensors": make()})

        return make

    return register


def _tensor(start: int, end: int, shape: list[int] | None = None) -> dict:
    return {"dtype": "F32", "shape": shape or [(end - start) // 4], "data_offsets": [start, end]}


@safetensors_file("safetensors-huge-header", "a header of 2⁶³ bytes", "TooLarge")
def _() -> bytes:
    return safetensors(length=1 << 63)


@safetensors_file("safetensors-long-header", "a header longer than the file", "Truncated")
def _() -> bytes:
    return safetensors(length=10_000)


@safetensors_file("safetensors-overlap", "two tensors on the same bytes", "Overlap")
def _() -> bytes:
    return safetensors({"a": _tensor(0, 16), "b": _tensor(8, 24)}, 24)


@safetensors_file("safetensors-out-of-range", "a tensor behind the end of the file", "Truncated")
def _() -> bytes:
    return safetensors({"a": _tensor(0, 1 << 20)}, 16)


@safetensors_file("safetensors-negative", "a tensor that begins before the data", "Malformed")
def _() -> bytes:
    return safetensors({"a": _tensor(-16, 0)}, 0)


@safetensors_file("safetensors-shape", "a shape that needs other bytes than there are", "Malformed")
def _() -> bytes:
    return safetensors({"a": _tensor(0, 16, [1 << 40, 1 << 40])}, 16)


@safetensors_file("safetensors-hole", "bytes between the tensors that belong to none", "Polyglot")
def _() -> bytes:
    return safetensors({"a": _tensor(0, 16), "b": _tensor(1040, 1056)}, 1056)


@safetensors_file("safetensors-tail", "a second file behind the tensors", "Polyglot")
def _() -> bytes:
    return safetensors() + zipped({"a": b"b"})


@safetensors_file("safetensors-same-name", "a tensor described twice", "Malformed")
def _() -> bytes:
    one = json.dumps(_tensor(0, 16))
    return safetensors(f'{{"a": {one}, "a": {one}}}'.encode())


@safetensors_file("safetensors-deep", "a header nested 100,000 deep", "Malformed")
def _() -> bytes:
    return safetensors(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}")
