"""Queries of prices."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import select, update

from towpath_server.core import queries
from towpath_server.core.db import Tx
from towpath_server.core.money import Amounts, Price
from towpath_server.core.paging import Window
from towpath_server.domains.prices.models import PriceFilter, PriceRow
from towpath_server.domains.prices.tables import prices

_live = prices.c.retired_at_ms.is_(None)


async def insert(tx: Tx, owner_id: str, model: str, price: Price) -> None:
    """Add a price."""
    await tx.execute(
        prices.insert().values(
            id=price.id,
            owner_id=owner_id,
            model=model,
            from_ms=price.from_ms,
            amounts=price.amounts.given(),
            created_at_ms=tx.now_ms,
        )
    )


async def retire(tx: Tx, wanted: Collection[str]) -> None:
    """Let prices count no more."""
    statement = update(prices).where(prices.c.id.in_(sorted(wanted)), _live)
    await tx.execute(statement.values(retired_at_ms=tx.now_ms))


async def live(tx: Tx, owners: Collection[str]) -> dict[tuple[str, str], list[Price]]:
    """Return the prices that count, by owner and model, in order of their beginning."""
    if not owners:
        return {}
    found: dict[tuple[str, str], list[Price]] = {}
    rows = await tx.execute(select(prices).where(prices.c.owner_id.in_(sorted(owners)), _live))
    for row in sorted(rows, key=lambda row: (row.from_ms or 0, row.id)):
        found.setdefault((row.owner_id, row.model), []).append(_price(row))
    return found


async def routed(tx: Tx, *, wanted: Collection[str] | None, after: str, limit: int) -> list[Price]:
    """List prices that count by id, or all after one, in order of id."""
    query = select(prices).where(_live)
    if wanted is None:
        query = query.where(prices.c.id > after).order_by(prices.c.id).limit(limit)
    else:
        query = query.where(prices.c.id.in_(sorted(wanted)))
    return [_price(row) for row in await tx.execute(query)]


async def find(tx: Tx, price_id: str) -> PriceRow | None:
    """Find a price, whether it still counts or not."""
    row = (await tx.execute(select(prices).where(prices.c.id == price_id))).first()
    return _row(row) if row else None


async def page(tx: Tx, wanted: PriceFilter, window: Window) -> list[PriceRow]:
    """List one price more than the window has, in order of creation."""
    query = select(prices)
    if wanted.owner_id is not None:
        query = query.where(prices.c.owner_id == wanted.owner_id)
    if wanted.model is not None:
        query = query.where(prices.c.model == wanted.model)
    rows = await tx.execute(queries.windowed(query, window, prices.c.id))
    return [_row(row) for row in rows]


def _price(row: Any) -> Price:
    return Price(row.id, Amounts(**row.amounts), row.from_ms)


def _row(row: Any) -> PriceRow:
    return PriceRow(
        price=_price(row),
        owner_id=row.owner_id,
        model=row.model or None,
        created_at_ms=row.created_at_ms,
        retired_at_ms=row.retired_at_ms,
    )
