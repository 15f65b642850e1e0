"""Prices on the wire."""

from datetime import datetime

from pydantic import Field

from towpath_server.domains.prices.models import PriceRow
from towpath_server.web.money import PriceOut, fields_of
from towpath_server.web.schemas import at, at_or_none


class PriceRowOut(PriceOut):
    """A price, what it is for, and since when it counts no more."""

    owner: str = Field(description="Id of the provider, the target or the deployment.")
    model: str | None = Field(None, description="The provider's model it is for.")
    created_at: datetime
    retired_at: datetime | None = Field(
        None, description="When another took its place; records go on naming it."
    )

    @classmethod
    def of_row(cls, row: PriceRow) -> "PriceRowOut":
        """Write a price with its history."""
        return cls.model_validate(
            fields_of(row.price)
            | {
                "owner": row.owner_id,
                "model": row.model,
                "created_at": at(row.created_at_ms),
                "retired_at": at_or_none(row.retired_at_ms),
            }
        )
