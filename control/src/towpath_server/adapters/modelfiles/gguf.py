"""
Reads the header of a GGUF file: facts for placing it, the chat template, and whether it holds.

The layout is GGUF's specification, versions 2 and 3: magic, version, counts, metadata, the table of
tensors, then their data, aligned.
"""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from towpath_server.adapters.modelfiles import chat, reasons
from towpath_server.adapters.modelfiles.report import Notes, Unsound
from towpath_server.adapters.modelfiles.window import Cursor, Window

MAGIC = b"GGUF"

_MAX_ENTRIES = 20_000  # metadata; real files have tens
_MAX_TENSORS = 200_000  # the largest mixtures of experts have tens of thousands
_MAX_ITEMS = 4_000_000  # of an array; vocabularies have up to 300,000
_MAX_DIMENSIONS = 8  # GGML has 4
_MAX_ALIGNMENT = 1 << 20
_MAX_ELEMENTS = 1 << 50

_SCALARS = {
    0: "B",
    1: "b",
    2: "H",
    3: "h",
    4: "I",
    5: "i",
    6: "f",
    7: "?",
    10: "Q",
    11: "q",
    12: "d",
}
_STRING, _ARRAY = 8, 9

# GGML's tensor types: name, elements of a block, bytes of a block (ggml.c, `type_traits`).
_TYPES = {
    0: ("F32", 1, 4),
    1: ("F16", 1, 2),
    2: ("Q4_0", 32, 18),
    3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24),
    8: ("Q8_0", 32, 34),
    9: ("Q8_1", 32, 36),
    10: ("Q2_K", 256, 84),
    11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210),
    15: ("Q8_K", 256, 292),
    16: ("IQ2_XXS", 256, 66),
    17: ("IQ2_XS", 256, 74),
    18: ("IQ3_XXS", 256, 98),
    19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18),
    21: ("IQ3_S", 256, 110),
    22: ("IQ2_S", 256, 82),
    23: ("IQ4_XS", 256, 136),
    24: ("I8", 1, 1),
    25: ("I16", 1, 2),
    26: ("I32", 1, 4),
    27: ("I64", 1, 8),
    28: ("F64", 1, 8),
    29: ("IQ1_M", 256, 56),
    30: ("BF16", 1, 2),
    34: ("TQ1_0", 256, 54),
    35: ("TQ2_0", 256, 66),
    39: ("MXFP4", 32, 17),
}


@dataclass(frozen=True)
class _Tensor:
    name: str
    elements: int
    type: int
    offset: int

    @property
    def size(self) -> int:
        _, block, block_bytes = _TYPES[self.type]
        return self.elements // block * block_bytes


def examine(window: Window, notes: Notes) -> None:
    """
    Note facts and findings of a GGUF file.

    Raises:
        Unsound: It ends early, or a count is absurd.
    """
    cursor = Cursor(window, len(MAGIC))
    version = cursor.number("I")
    if version not in {2, 3}:
        raise Unsound(reasons.MALFORMED, f"It says GGUF version {version}; there are 2 and 3.")
    tensors, entries = cursor.number("Q"), cursor.number("Q")
    if entries > _MAX_ENTRIES or tensors > _MAX_TENSORS:
        raise Unsound(
            reasons.TOO_LARGE, f"It announces {entries} metadata entries and {tensors} tensors."
        )
    metadata = _metadata(cursor, entries)
    table = [_tensor(cursor) for _ in range(tensors)]
    alignment = metadata.get("general.alignment", 32)
    if not isinstance(alignment, int) or not 0 < alignment <= _MAX_ALIGNMENT or alignment % 8:
        raise Unsound(reasons.MALFORMED, f"It says an alignment of {alignment} bytes.")
    start = -(-cursor.at // alignment) * alignment
    _check_table(table, start, alignment, window, notes)
    template = metadata.get("tokenizer.chat_template")
    if isinstance(template, str):
        chat.check(template, notes)
    notes.facts.update(_facts(metadata, table))


def _metadata(cursor: Cursor, entries: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for _ in range(entries):
        key = _string(cursor)
        if key in found:
            raise Unsound(reasons.MALFORMED, f"The metadata entry `{key}` stands twice.")
        found[key] = _value(cursor, cursor.number("I"))
    return found


def _value(cursor: Cursor, kind: int) -> Any:
    """Read a value; of an array, its first elements alone are kept."""
    if kind in _SCALARS:
        return cursor.number(_SCALARS[kind])
    if kind == _STRING:
        return _string(cursor)
    if kind != _ARRAY:
        raise Unsound(reasons.MALFORMED, f"A metadata entry has the type {kind}; there is none.")
    inner, count = cursor.number("I"), cursor.number("Q")
    if count > _MAX_ITEMS:
        raise Unsound(reasons.TOO_LARGE, f"It announces an array of {count} elements.")
    if inner == _STRING:
        for _ in range(count):
            _skip_string(cursor)
        return _Array(count, [])
    if inner not in _SCALARS:
        raise Unsound(reasons.MALFORMED, f"An array has elements of the type {inner}.")
    kept = [cursor.number(_SCALARS[inner]) for _ in range(min(count, 1024))]
    rest = count - len(kept)
    width = {"B": 1, "b": 1, "?": 1, "H": 2, "h": 2, "I": 4, "i": 4, "f": 4}.get(_SCALARS[inner], 8)
    cursor.at += rest * width
    if cursor.at > cursor.window.size:
        raise Unsound(reasons.TRUNCATED, f"It ends within an array of {count} elements.")
    return _Array(count, kept)


@dataclass(frozen=True)
class _Array:
    count: int
    first: list[Any]


def _string(cursor: Cursor) -> str:
    return cursor.take(cursor.number("Q")).decode("utf-8", errors="replace")


def _skip_string(cursor: Cursor) -> None:
    length = cursor.number("Q")
    cursor.at += length
    if cursor.at > cursor.window.size:
        raise Unsound(reasons.TRUNCATED, "It ends within a text.")


def _tensor(cursor: Cursor) -> _Tensor:
    name = _string(cursor)
    dimensions = cursor.number("I")
    if dimensions > _MAX_DIMENSIONS:
        raise Unsound(reasons.TOO_LARGE, f"The tensor `{name}` has {dimensions} dimensions.")
    elements = math.prod(cursor.number("Q") for _ in range(dimensions))
    if elements > _MAX_ELEMENTS:
        raise Unsound(reasons.TOO_LARGE, f"The tensor `{name}` has {elements} elements.")
    kind = cursor.number("I")
    if kind not in _TYPES:
        raise Unsound(reasons.MALFORMED, f"The tensor `{name}` has the type {kind}.")
    return _Tensor(name, elements, kind, cursor.number("Q"))


def _check_table(
    table: list[_Tensor], start: int, alignment: int, window: Window, notes: Notes
) -> None:
    names = Counter(tensor.name for tensor in table)
    if twice := [name for name, count in names.items() if count > 1]:
        notes.add(reasons.MALFORMED, f"The tensor `{twice[0]}` stands twice.")
    end, former = 0, ""
    for tensor in sorted(table, key=lambda one: one.offset):
        if tensor.offset % alignment:
            notes.add(reasons.MALFORMED, f"The tensor `{tensor.name}` is not aligned.")
        if tensor.offset < end:
            detail = f"The tensors `{former}` and `{tensor.name}` claim the same bytes."
            notes.add(reasons.OVERLAP, detail)
        if start + tensor.offset + tensor.size > window.size:
            needs = start + tensor.offset + tensor.size
            detail = f"The tensor `{tensor.name}` ends at {needs}, the file at {window.size}."
            raise Unsound(reasons.TRUNCATED, detail)
        end, former = max(end, tensor.offset + tensor.size), tensor.name


def _facts(metadata: Mapping[str, Any], table: list[_Tensor]) -> dict[str, Any]:
    architecture = metadata.get("general.architecture")
    known = _Known(metadata, architecture if isinstance(architecture, str) else "")
    heads = known.number("attention.head_count")
    width = known.number("embedding_length")
    head_dim = known.number("attention.key_length") or (width // heads if width and heads else None)
    by_type = Counter[str]()
    for tensor in table:
        by_type[_TYPES[tensor.type][0]] += tensor.elements
    vocabulary = metadata.get("tokenizer.ggml.tokens")
    found = {
        "architecture": architecture,
        "name": metadata.get("general.name"),
        "licence": metadata.get("general.license"),
        "context_length": known.number("context_length"),
        "layers": known.number("block_count"),
        "embedding_length": width,
        "heads": heads,
        "kv_heads": known.number("attention.head_count_kv") or heads,
        "head_dim": head_dim,
        "sliding_window": known.number("attention.sliding_window"),
        "experts": known.number("expert_count"),
        "vocabulary": vocabulary.count if isinstance(vocabulary, _Array) else None,
        "quantization": by_type.most_common(1)[0][0] if by_type else None,
        "parameters": sum(tensor.elements for tensor in table),
        "weights_bytes": sum(tensor.size for tensor in table),
        "chat_template": isinstance(metadata.get("tokenizer.chat_template"), str),
    }
    return {name: value for name, value in found.items() if value is not None}


@dataclass(frozen=True)
class _Known:
    metadata: Mapping[str, Any]
    architecture: str

    def number(self, name: str) -> int | None:
        """Return a number of the architecture; of one per layer, the largest."""
        value = self.metadata.get(f"{self.architecture}.{name}")
        if isinstance(value, _Array):
            whole = [one for one in value.first if isinstance(one, int)]
            value = max(whole, default=None)
        return value if isinstance(value, int) and not isinstance(value, bool) else None
