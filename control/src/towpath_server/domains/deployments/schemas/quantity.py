"""Quantities as Kubernetes writes them."""

import re
from decimal import Decimal

_QUANTITY = re.compile(r"([0-9]{1,18}(?:\.[0-9]{1,9})?)(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi)?")
_FACTORS = {
    "m": Decimal("0.001"),
    "": Decimal(1),
    **{letter: Decimal(1000) ** (power + 1) for power, letter in enumerate("kMGTP")},
    **{f"{letter}i": Decimal(1024) ** (power + 1) for power, letter in enumerate("KMGTP")},
}


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
