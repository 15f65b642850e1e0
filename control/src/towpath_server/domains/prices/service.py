"""
Rules of prices.

Whoever declares a price (a provider's model, a static target, a deployment) is its owner, asks for
permission, and tells the gateways which target has changed. A price is never changed: another takes
its place, and what was recorded before keeps the id, and with it the amounts, of the former one.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from towpath_server.core import ids, revision
from towpath_server.core.access import Principal, Verb
from towpath_server.core.db import Tx
from towpath_server.core.errors import NotFound
from towpath_server.core.money import Price, PriceDraft
from towpath_server.core.paging import Slice, Window
from towpath_server.domains.prices import store
from towpath_server.domains.prices.models import PriceFilter, PriceRow

Owned = Mapping[tuple[str, str], Sequence[Price]]
"""By id of the owner and model (empty: the owner itself)."""


async def declare(
    tx: Tx, owner_id: str, drafts: Sequence[PriceDraft], *, model: str = ""
) -> tuple[Price, ...]:
    """
    Let an owner have exactly these prices; one that is as before keeps its id.

    What has been superseded by now is kept for the records that name it, and is not routed.
    """
    present = (await store.live(tx, [owner_id])).get((owner_id, model), [])
    known = {(price.amounts, price.from_ms): price for price in present}
    found = []
    for draft in _current(drafts, tx.now_ms):
        price = known.get((draft.amounts, draft.from_ms))
        if price is None:
            price = Price(ids.new("prc"), draft.amounts, draft.from_ms)
            await store.insert(tx, owner_id, model, price)
            await revision.bump(tx, "price", price.id)
        found.append(price)
    kept = {price.id for price in found}
    await _retire(tx, [price for price in present if price.id not in kept])
    return tuple(found)


async def add(tx: Tx, owner_id: str, draft: PriceDraft, *, model: str = "") -> Price:
    """
    Add a price; without a beginning it holds from now on.

    One that begins at the same moment is replaced, and so are those that are superseded by now.
    """
    draft = replace(draft, from_ms=tx.now_ms if draft.from_ms is None else draft.from_ms)
    present = (await store.live(tx, [owner_id])).get((owner_id, model), [])
    others = [PriceDraft(p.amounts, p.from_ms) for p in present if p.from_ms != draft.from_ms]
    declared = await declare(tx, owner_id, [*others, draft], model=model)
    same = [price for price in declared if price.from_ms == draft.from_ms]
    if same:
        return same[0]
    # It began and was superseded long ago: kept, so that the history is whole, and never routed.
    price = Price(ids.new("prc"), draft.amounts, draft.from_ms)
    await store.insert(tx, owner_id, model, price)
    await store.retire(tx, [price.id])
    return price


async def withdraw(tx: Tx, owners: Collection[str]) -> None:
    """Let the prices of owners that go count no more."""
    for found in (await store.live(tx, owners)).values():
        await _retire(tx, found)


async def withdraw_models(tx: Tx, owner_id: str, models: Collection[str]) -> None:
    """Let the prices of some of an owner's models count no more."""
    for (_, model), found in (await store.live(tx, [owner_id])).items():
        if model in models:
            await _retire(tx, found)


async def of(tx: Tx, owners: Collection[str]) -> Owned:
    """Return the prices that count, of these owners, in order of their beginning."""
    return await store.live(tx, owners)


async def get(tx: Tx, caller: Principal, price_id: str) -> PriceRow:
    """
    Return a price, whether it still counts or not.

    Raises:
        NotFound: There is none.
    """
    caller.require(Verb.READ, "price")
    found = await store.find(tx, price_id)
    if found is None:
        raise NotFound("price", price_id)
    return found


async def list(  # noqa: A001
    tx: Tx, caller: Principal, wanted: PriceFilter, window: Window
) -> Slice[PriceRow]:
    """List prices in order of creation, those that count no more included."""
    caller.require(Verb.READ, "price")
    found = await store.page(tx, wanted, window)
    return Slice.cut(found, window, key=lambda row: row.price.id)


async def routed(
    tx: Tx, *, ids: Collection[str] | None = None, after: str = "", limit: int = 5_000
) -> Sequence[Price]:
    """List the prices that the routing table holds."""
    return await store.routed(tx, wanted=ids, after=after, limit=limit)


async def _retire(tx: Tx, prices: Sequence[Price]) -> None:
    if not prices:
        return
    await store.retire(tx, [price.id for price in prices])
    for price in prices:
        await revision.bump(tx, "price", price.id)


def _current(drafts: Sequence[PriceDraft], now_ms: int) -> Sequence[PriceDraft]:
    """Return the prices that hold now or later."""
    begun = max((d.from_ms or 0 for d in drafts if (d.from_ms or 0) <= now_ms), default=0)
    return [draft for draft in drafts if (draft.from_ms or 0) >= begun]
