"""Queries of notices."""

from dataclasses import replace

from sqlalchemy import delete, select, update

from towpath_server.core.db import Tx
from towpath_server.domains.notices.models import Notice
from towpath_server.domains.notices.tables import notices


async def add(tx: Tx, notice: Notice) -> None:
    """Add a notice."""
    await tx.execute(notices.insert().values(**vars(notice)))


async def due(tx: Tx) -> Notice | None:
    """Find a notice that is due."""
    query = select(notices).where(notices.c.next_at_ms <= tx.now_ms)
    row = (await tx.execute(query.order_by(notices.c.next_at_ms).limit(1))).first()
    return Notice(**row._asdict()) if row else None


async def book(tx: Tx, notice: Notice, *, next_at_ms: int) -> Notice | None:
    """Book an attempt; none: another control plane did."""
    done = await tx.execute(
        update(notices)
        .where(notices.c.id == notice.id, notices.c.attempts == notice.attempts)
        .values(attempts=notice.attempts + 1, next_at_ms=next_at_ms)
    )
    if done.rowcount != 1:
        return None
    return replace(notice, attempts=notice.attempts + 1, next_at_ms=next_at_ms)


async def remove(tx: Tx, notice: Notice) -> None:
    """Remove a notice."""
    await tx.execute(delete(notices).where(notices.c.id == notice.id))
