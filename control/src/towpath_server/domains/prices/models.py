"""Prices with what they are for, and since when they count no more."""

from dataclasses import dataclass

from towpath_server.core.money import Price


@dataclass(frozen=True)
class PriceRow:
    """A price with its history."""

    price: Price
    owner_id: str
    """Id of the provider or of the target."""
    model: str | None
    """The provider's model it is for."""
    created_at_ms: int
    retired_at_ms: int | None
    """When another took its place, or its owner went; records go on naming it."""


@dataclass(frozen=True)
class PriceFilter:
    """Which prices are wanted."""

    owner_id: str | None = None
    model: str | None = None
