"""What is declared beside what is there."""

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any


def changes(declared: Mapping[str, Any], present: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return, by path, what is there and what is declared, where they differ."""
    found: dict[str, tuple[Any, Any]] = {}
    for name, wanted in declared.items():
        _compare(wanted, present.get(name), name, found)
    return found


def _compare(wanted: Any, there: Any, path: str, found: dict[str, tuple[Any, Any]]) -> None:
    if isinstance(wanted, Mapping) and isinstance(there, Mapping):
        for name, value in wanted.items():
            _compare(value, there.get(name), f"{path}.{name}", found)
    elif _list(wanted) and _list(there) and len(wanted) == len(there):
        for index, (value, other) in enumerate(zip(wanted, there, strict=True)):
            _compare(value, other, f"{path}[{index}]", found)
    elif not _same(wanted, there):
        found[path] = (there, wanted)


def _same(wanted: Any, there: Any) -> bool:
    if isinstance(there, Mapping) and "limit" in there and isinstance(wanted, int):
        return bool(there["limit"] == wanted)  # a rate without its burst
    if wanted in (None, [], {}) and there in (None, [], {}):
        return True
    if isinstance(wanted, bool) or isinstance(there, bool):
        return wanted is there
    return wanted == there or _number(wanted) == _number(there) is not None


def _number(value: Any) -> Decimal | None:
    """Read `1`, `"1"` and `"1.00"` alike."""
    try:
        return Decimal(str(value)) if isinstance(value, str | int | float) else None
    except InvalidOperation:
        return None


def _list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)
