"""Providers, their models, and what the gateway needs of them."""

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

DIALECTS = ("openai",)
"""What the gateway speaks to providers."""

DATA_CLASSES = ("public", "internal", "confidential", "restricted")

_NANO = 1_000_000_000
_MAX_AMOUNT = 1_000_000  # per million tokens; a whole unit a token is a typo


@dataclass(frozen=True)
class Price:
    """What a million tokens cost, in nano-units of the organisation's currency."""

    id: str
    input_nano_per_million: int
    output_nano_per_million: int
    cached_input_nano_per_million: int | None = None


@dataclass(frozen=True)
class Credential:
    """A sealed secret for an upstream."""

    id: str
    sealed: str
    header: str | None = None
    """Name of the header it goes into; none: `Authorization: Bearer`."""


@dataclass(frozen=True)
class ProviderModel:
    """One model of a provider."""

    name: str
    price: Price | None
    context_length: int | None


@dataclass(frozen=True)
class ProviderModelDraft:
    """A provider's model as it is declared."""

    name: str
    input_nano: int | None = None
    output_nano: int | None = None
    cached_input_nano: int | None = None
    context_length: int | None = None


@dataclass(frozen=True)
class Provider:
    """A vendor's API."""

    id: str
    revision: int
    created_at_ms: int
    updated_at_ms: int
    name: str
    dialect: str
    base_url: str
    credential_id: str | None
    header: str | None
    region: str | None
    max_data_class: str
    models: tuple[ProviderModel, ...] = ()

    def model(self, name: str) -> ProviderModel | None:
        """Return a declared model."""
        return next((model for model in self.models if model.name == name), None)


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
