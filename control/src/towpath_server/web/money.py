"""Prices and durations as bodies and answers write them, for every noun that has some."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from towpath_server.core.clock import to_ms
from towpath_server.core.money import OUTSIDE, Amounts, Price, PriceDraft, to_nano
from towpath_server.web.schemas import In, Out, at_or_none

MAX_PRICES = 50  # of one thing; more changes than that are history


def _amount(value: str) -> str:
    to_nano(value)
    return value


Amount = Annotated[str, Field(max_length=40, examples=["0.15"]), AfterValidator(_amount)]
"""A decimal amount of the organisation's currency, in a string so that nothing is rounded."""


class AmountsIn(In):
    """What a call costs."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_by_name=True)

    from_: datetime | None = Field(
        None,
        alias="from",
        description="From when it holds; absent: always, or from now on where it is added. The "
        "latest that has begun applies.",
    )
    input_per_million: Amount | None = Field(None, description="Absent: nothing.")
    output_per_million: Amount | None = Field(None, description="Absent: nothing.")
    cached_input_per_million: Amount | None = Field(
        None, description="Tokens read from the upstream's cache. Absent: as input."
    )
    cache_write_per_million: Amount | None = Field(
        None, description="Tokens written into the upstream's cache. Absent: as input."
    )
    reasoning_per_million: Amount | None = Field(
        None, description="Tokens of thought. Absent: as output."
    )
    audio_input_per_million: Amount | None = Field(None, description="Absent: as input.")
    audio_output_per_million: Amount | None = Field(None, description="Absent: as output.")
    per_request: Amount | None = Field(None, description="Each answered request.")
    gpu_second: Amount | None = Field(
        None,
        description="Each second of one GPU that a request had; calls in flight together share it.",
    )

    @model_validator(mode="after")
    def _something(self) -> "AmountsIn":
        if not any(getattr(self, name) is not None for name in OUTSIDE.values()):
            raise ValueError("names no amount; a price of nothing is `input_per_million: '0'`")
        return self

    def draft(self) -> PriceDraft:
        """Read it."""
        amounts = Amounts.read({name: getattr(self, name) for name in OUTSIDE.values()})
        if self.from_ is None:
            return PriceDraft(amounts)
        moment = self.from_ if self.from_.tzinfo else self.from_.replace(tzinfo=UTC)
        return PriceDraft(amounts, to_ms(moment))


def once_each(prices: Sequence[AmountsIn] | None) -> Sequence[AmountsIn] | None:
    """Refuse two prices that begin at the same moment."""
    begins = [price.from_ for price in prices or ()]
    if len(set(begins)) != len(begins):
        raise ValueError("two prices begin at the same time")
    return prices


Prices = Annotated[
    list[AmountsIn],
    Field(max_length=MAX_PRICES, description="What it costs, each from a time on."),
    AfterValidator(once_each),
]


class PriceOut(Out):
    """What a call costs from a time on; it never changes, and records name its `id`."""

    model_config = ConfigDict(frozen=True, validate_by_name=True, serialize_by_alias=True)

    id: str
    from_: datetime | None = Field(None, alias="from")
    input_per_million: str | None = None
    output_per_million: str | None = None
    cached_input_per_million: str | None = None
    cache_write_per_million: str | None = None
    reasoning_per_million: str | None = None
    audio_input_per_million: str | None = None
    audio_output_per_million: str | None = None
    per_request: str | None = None
    gpu_second: str | None = None

    @classmethod
    def of(cls, price: Price) -> "PriceOut":
        """Write a price."""
        return cls.model_validate(fields_of(price))


def fields_of(price: Price) -> dict[str, Any]:
    """Return a price's fields under the names of the API."""
    return {"id": price.id, "from": at_or_none(price.from_ms), **price.amounts.written()}
