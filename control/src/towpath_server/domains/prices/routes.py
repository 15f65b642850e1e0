"""`/api/v1/prices`: what a record's `price_id` stands for."""

from typing import Annotated

from fastapi import Query

from towpath_server.core.errors import NotFound
from towpath_server.domains.prices import service as prices
from towpath_server.domains.prices.models import PriceFilter
from towpath_server.domains.prices.schemas import PriceRowOut
from towpath_server.web import edge
from towpath_server.web.deps import Caller, Paging, ReadTx
from towpath_server.web.paging import Page
from towpath_server.web.problems import problems
from towpath_server.web.schemas import Ref

router = edge.router("price", "/prices")


@router.get("")
async def list(  # noqa: A001
    caller: Caller,
    tx: ReadTx,
    window: Paging,
    owner: Annotated[
        Ref | None, Query(description="Id of the provider, the target or the deployment.")
    ] = None,
    model: Annotated[Ref | None, Query(description="Only this model's, at its provider.")] = None,
) -> Page[PriceRowOut]:
    """List prices in order of creation, those that count no more included."""
    found = await prices.list(tx, caller, PriceFilter(owner, model), window)
    return Page.of(found, PriceRowOut.of_row)


@router.get("/{price}", responses=problems(NotFound))
async def get(price: Ref, caller: Caller, tx: ReadTx) -> PriceRowOut:
    """Return the price that records name by this id."""
    return PriceRowOut.of_row(await prices.get(tx, caller, price))
