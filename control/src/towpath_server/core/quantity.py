"""Quantities as Kubernetes writes them, and amounts in words."""

import re
from decimal import Decimal

GIB = 1 << 30
_QUANTITY = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,9})?)(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?")
_FACTORS = {
    "m": Decimal("0.001"),
    "": Decimal(1),
    **{letter: Decimal(1000) ** (power + 1) for power, letter in enumerate("kMGTP")},
    **{f"{letter}i": Decimal(1024) ** (power + 1) for power, letter in enumerate("KMGTP")},
}
_BINARY = [(1 << 30, "Gi"), (1 << 20, "Mi"), (1 << 10, "Ki")]


def quantity(value: str | int) -> Decimal:
    """
    Read `500m`, `2`, `1Gi`.

    Raises:
        ValueError: It is no quantity.
    """
    match = _QUANTITY.fullmatch(str(value))
    if match is None:
        raise ValueError("must be a quantity such as `500m`, `2` or `1Gi`")
    return Decimal(match.group(1)) * _FACTORS[match.group(2) or ""]


def milli(value: str | int) -> int:
    """
    Read thousandths, of CPUs.

    Raises:
        ValueError: It is no quantity.
    """
    return int(quantity(value) * 1000)


def from_milli(value: int) -> str:
    """Write thousandths: `2`, `1500m`."""
    return f"{value}m" if value % 1000 else str(value // 1000)


def from_bytes(value: int) -> str:
    """Write bytes exactly: `2Gi`, `1536Mi`."""
    for factor, unit in _BINARY:
        if value and value % factor == 0:
            return f"{value // factor}{unit}"
    return str(value)


def above(value: int) -> str:
    """Write the next size above that people would write: `300Mi`, `2Gi`."""
    step = GIB // 2 if value > GIB else 64 << 20
    return from_bytes(-(-value // step) * step)


def gib(value: int) -> str:
    """Write bytes in GiB to two digits: `0.4`, `12`, `0.06`."""
    amount = value / GIB
    digits = 0 if amount >= 10 else 1 if amount >= 0.1 else 2
    return f"{amount:.{digits}f}".removesuffix(".0")
