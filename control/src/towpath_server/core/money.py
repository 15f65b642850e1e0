"""
Money: exact amounts, and what a call costs.

Amounts are integer counts of nano-units of the organisation's currency; outside they are decimal
strings. Nothing is ever rounded on the way in.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from decimal import Decimal, InvalidOperation

_NANO = 1_000_000_000
_MAX_AMOUNT = 1_000_000  # per million tokens; a whole unit a token is a typo


@dataclass(frozen=True)
class Amounts:
    """What a call costs, in nano-units; the fields are those of the routing table's price."""

    input_nano_per_million: int = 0
    output_nano_per_million: int = 0
    cached_input_nano_per_million: int | None = None
    cache_write_nano_per_million: int | None = None
    reasoning_nano_per_million: int | None = None
    audio_input_nano_per_million: int | None = None
    audio_output_nano_per_million: int | None = None
    request_nano: int | None = None
    gpu_second_nano: int | None = None

    def given(self) -> dict[str, int]:
        """Return what is set."""
        return {name: value for name, value in vars(self).items() if value is not None}

    def written(self) -> dict[str, str]:
        """Return what is set, as decimal strings under the names of the API."""
        return {OUTSIDE[name]: from_nano(value) for name, value in self.given().items()}

    @classmethod
    def read(cls, written: Mapping[str, str | None]) -> "Amounts":
        """
        Read decimal strings under the names of the API; what is none or missing is not set.

        Raises:
            ValueError: One is no amount.
        """
        amounts = {
            inside: to_nano(text)
            for inside, outside in OUTSIDE.items()
            if (text := written.get(outside)) is not None
        }
        return cls(**amounts)


OUTSIDE: Mapping[str, str] = {
    field.name: field.name.replace("_nano_per_million", "_per_million").removesuffix("_nano")
    if field.name != "request_nano"
    else "per_request"
    for field in fields(Amounts)
}
"""Names of the amounts in the API, by field: `input_per_million`, `per_request`, `gpu_second`."""


@dataclass(frozen=True)
class PriceDraft:
    """A price as it is declared."""

    amounts: Amounts
    from_ms: int | None = None
    """When it begins to hold; none: always."""


@dataclass(frozen=True)
class Price:
    """A price as it is stored: never changed, so that a record's `price_id` says what was paid."""

    id: str
    amounts: Amounts
    from_ms: int | None = None


def to_nano(amount: str | int) -> int:
    """
    Turn a decimal amount into nano-units, exactly.

    Raises:
        ValueError: It is no decimal number, negative, too large, or finer than a nano-unit.
    """
    try:
        value = Decimal(amount)
    except InvalidOperation as error:
        raise ValueError("must be a decimal number in a string, such as `0.15`") from error
    if not value.is_finite() or value < 0 or value > _MAX_AMOUNT:
        raise ValueError(f"must be from 0 to {_MAX_AMOUNT}")
    nano = value * _NANO
    if nano != int(nano):
        raise ValueError("must have at most 9 decimal places")
    return int(nano)


def from_nano(nano: int) -> str:
    """Write nano-units as a decimal amount."""
    text = f"{Decimal(nano) / _NANO:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def now(prices: "tuple[Price, ...]", at_ms: int) -> Price | None:
    """Return the price that holds at a time: the latest that has begun."""
    begun = [price for price in prices if (price.from_ms or 0) <= at_ms]
    return max(begun, key=lambda price: price.from_ms or 0, default=None)
