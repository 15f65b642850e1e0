"""Quantities as Kubernetes writes them, and durations."""

import re
from decimal import Decimal

_QUANTITY = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,9})?)(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?")
_FACTORS = {
    "m": Decimal("0.001"),
    "": Decimal(1),
    **{letter: Decimal(1000) ** (power + 1) for power, letter in enumerate("kMGTP")},
    **{f"{letter}i": Decimal(1024) ** (power + 1) for power, letter in enumerate("KMGTP")},
}
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)(ms|s|m|h)")
_UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000}


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


def duration_ms(value: str) -> int:
    """
    Read `250ms`, `1.5s`, `5m`, `1h`.

    Raises:
        ValueError: It is no duration.
    """
    match = _DURATION.fullmatch(value)
    if match is None:
        raise ValueError("must be a duration such as `500ms`, `30s` or `5m`")
    return int(Decimal(match.group(1)) * _UNITS_MS[match.group(2)])
