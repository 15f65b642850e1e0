"""Queries of blocks."""

from collections.abc import Collection
from dataclasses import asdict
from typing import Any

from sqlalchemy import select

from towpath_server.core import queries
from towpath_server.core.db import Tx
from towpath_server.core.paging import Window
from towpath_server.domains.blocks.models import Block, What
from towpath_server.domains.blocks.tables import blocks


async def insert(tx: Tx, block: Block) -> None:
    """Add a block."""
    await tx.execute(blocks.insert().values(**asdict(block)))


async def find(tx: Tx, block_id: str) -> Block | None:
    """Find a block by id."""
    row = (await tx.execute(select(blocks).where(blocks.c.id == block_id))).first()
    return _block(row) if row else None


async def find_of(tx: Tx, what: What, ref: str) -> Block | None:
    """Find the block of a thing."""
    query = select(blocks).where(blocks.c.what == what, blocks.c.ref == ref)
    row = (await tx.execute(query)).first()
    return _block(row) if row else None


async def page(tx: Tx, window: Window, *, what: What | None, ref: str | None) -> list[Block]:
    """List one block more than the window has."""
    query: Any = select(blocks)
    for column, value in ((blocks.c.what, what), (blocks.c.ref, ref)):
        if value is not None:
            query = query.where(column == value)
    return [_block(row) for row in await tx.execute(queries.windowed(query, window, blocks.c.id))]


async def rows(
    tx: Tx, *, wanted: Collection[str] | None, after: str = "", limit: int = 5_000
) -> list[Block]:
    """List blocks by id, or all after one, in order of id."""
    query = select(blocks)
    if wanted is None:
        query = query.where(blocks.c.id > after).order_by(blocks.c.id).limit(limit)
    else:
        query = query.where(blocks.c.id.in_(sorted(wanted)))
    return [_block(row) for row in await tx.execute(query)]


async def remove(tx: Tx, block: Block) -> None:
    """Remove a block."""
    await queries.remove(tx, blocks, block.id, block.revision)


def _block(row: Any) -> Block:
    values: dict[str, Any] = row._asdict()
    values["what"] = What(values["what"])
    return Block(**values)
