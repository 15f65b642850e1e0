"""Durations as people write them: `500ms`, `10s`, `1m30s`, `1.5h`; one reader for all."""

import re
from decimal import Decimal

_UNITS_MS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000, "ms": 1}
_NUMBER = r"([0-9]{1,9}(?:\.[0-9]{1,3})?)"
# Each unit at most once, from large to small, as Go and Kubernetes write them.
_DURATION = re.compile("".join(rf"(?:{_NUMBER}{unit})?" for unit in _UNITS_MS))

PATTERN = r"^([0-9]{1,9}(\.[0-9]{1,3})?(d|h|ms|m|s))+$"
"""For schemas; `to_ms` is stricter."""


def to_ms(text: str) -> int:
    """
    Read a duration, in whole milliseconds.

    Raises:
        ValueError: It is no duration, or finer than a millisecond.
    """
    match = _DURATION.fullmatch(text)
    if match is None or not text:
        raise ValueError("must be a duration such as `500ms`, `10s` or `1m30s`")
    parts = zip(match.groups(), _UNITS_MS.values(), strict=True)
    value = sum((Decimal(number) * unit for number, unit in parts if number), Decimal(0))
    if value != int(value):
        raise ValueError("must be a whole number of milliseconds")
    return int(value)


def from_ms(value: int) -> str:
    """Write a duration, in the largest units that fit: `90000` is `1m30s`."""
    found = ""
    for unit, size in _UNITS_MS.items():
        count, value = divmod(value, size)
        found += f"{count}{unit}" if count else ""
    return found or "0s"
