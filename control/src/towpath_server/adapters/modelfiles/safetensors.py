"""
Reads the header of a safetensors file and checks that it covers the file exactly.

Layout: eight bytes of length, a JSON object of that length, then the tensors' bytes without gaps.
"""

import json
import math
from collections import Counter
from typing import Any

from towpath_server.adapters.modelfiles import reasons
from towpath_server.adapters.modelfiles.report import Notes, Unsound
from towpath_server.adapters.modelfiles.window import MAX_PIECE, Window

_MAX_TENSORS = 500_000
_LENGTH = 8
_BITS = {
    "BOOL": 8,
    "U8": 8,
    "I8": 8,
    "F8_E5M2": 8,
    "F8_E4M3": 8,
    "F8_E8M0": 8,
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "I16": 16,
    "U16": 16,
    "F16": 16,
    "BF16": 16,
    "I32": 32,
    "U32": 32,
    "F32": 32,
    "C64": 64,
    "F64": 64,
    "I64": 64,
    "U64": 64,
}


def plausible(window: Window) -> bool:
    """Tell whether a file begins as safetensors do."""
    if window.size < _LENGTH + 2 or window.at(_LENGTH, 1) != b"{":
        return False
    return window.number(0, "<Q") <= window.size


def examine(window: Window, notes: Notes) -> None:
    """
    Note facts and findings of a safetensors file.

    Raises:
        Unsound: Its header cannot be read.
    """
    length = window.number(0, "<Q")
    if length > MAX_PIECE:
        raise Unsound(reasons.TOO_LARGE, f"It announces a header of {length} bytes.")
    header = _header(window.at(_LENGTH, length))
    header.pop("__metadata__", None)
    if len(header) > _MAX_TENSORS:
        raise Unsound(reasons.TOO_LARGE, f"It announces {len(header)} tensors.")
    spans = []
    elements: Counter[str] = Counter()
    for name, entry in header.items():
        kind, count, start, end = _entry(name, entry)
        elements[kind] += count
        spans.append((start, end, name))
    _check_cover(sorted(spans), window.size - _LENGTH - length, notes)
    notes.facts.update(
        parameters=sum(elements.values()),
        weights_bytes=sum(end - start for start, end, _ in spans),
        tensors=len(spans),
        dtypes=dict(elements),
    )


def _header(data: bytes) -> dict[str, Any]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise Unsound(reasons.MALFORMED, "A name stands twice in its header.")
        return found

    try:
        header = json.loads(data, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise Unsound(reasons.MALFORMED, f"Its header is not JSON: {error}.") from error
    if not isinstance(header, dict):
        raise Unsound(reasons.MALFORMED, "Its header is not an object.")
    return header


def _entry(name: str, entry: Any) -> tuple[str, int, int, int]:
    try:
        kind, shape, (start, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
        bits = _BITS[kind]
        whole = all(type(one) is int and one >= 0 for one in (*shape, start, end))
    except (KeyError, TypeError, ValueError) as error:
        raise Unsound(reasons.MALFORMED, f"The tensor `{name}` is not described.") from error
    count = math.prod(shape) if whole and len(shape) <= 16 else -1
    if count < 0 or count * bits != (end - start) * 8:
        raise Unsound(
            reasons.MALFORMED, f"The tensor `{name}` has other bytes than its shape needs."
        )
    return kind, count, start, end


def _check_cover(spans: list[tuple[int, int, str]], size: int, notes: Notes) -> None:
    reached, former = 0, ""
    for start, end, name in spans:
        if start < reached:
            notes.add(reasons.OVERLAP, f"The tensors `{former}` and `{name}` claim the same bytes.")
        elif start > reached:
            notes.add(reasons.POLYGLOT, f"Bytes before the tensor `{name}` belong to no tensor.")
        reached, former = max(reached, end), name
    if reached > size:
        notes.add(
            reasons.TRUNCATED, f"The tensor `{former}` ends at {reached}, the data at {size}."
        )
    elif reached < size:
        notes.add(reasons.POLYGLOT, f"{size - reached} bytes behind the tensors belong to none.")
