"""Queries of files."""

from collections.abc import Collection
from dataclasses import asdict
from typing import Any

from sqlalchemy import func, select

from towpath_server.core import queries
from towpath_server.core.access import Reach
from towpath_server.core.db import Tx
from towpath_server.core.paging import Window
from towpath_server.domains.files.models import File, Order, Purpose
from towpath_server.domains.files.tables import files


async def insert(tx: Tx, file: File) -> None:
    """Add a file."""
    await tx.execute(files.insert().values(**asdict(file)))


async def find(tx: Tx, id: str) -> File | None:  # noqa: A002
    """Find a file by id."""
    row = (await tx.execute(select(files).where(files.c.id == id))).first()
    return _file(row) if row else None


async def page(
    tx: Tx,
    reach: Reach,
    window: Window,
    *,
    environment: str | None,
    purpose: str | None,
    order: Order,
) -> list[File]:
    """List one file more than the window has, by time of creation."""
    query = select(files).where(
        queries.within(reach, team=files.c.team_id, project=files.c.project_id)
    )
    if environment is not None:
        query = query.where(files.c.environment == environment)
    if purpose is not None:
        query = query.where(files.c.purpose == purpose)
    if window.after is not None:
        later = order is Order.ASC
        query = query.where(files.c.id > window.after if later else files.c.id < window.after)
    by = files.c.id.asc() if order is Order.ASC else files.c.id.desc()
    rows = await tx.execute(query.order_by(by).limit(window.limit + 1))
    return [_file(row) for row in rows]


async def size_of(tx: Tx, project: str) -> int:
    """Return how many bytes the files of a project have."""
    query = select(func.coalesce(func.sum(files.c.size_bytes), 0)).where(
        files.c.project_id == project
    )
    return int((await tx.execute(query)).scalar_one())


async def names_in(tx: Tx, project: str, limit: int) -> list[str]:
    """List the ids of a few files of a project."""
    query = select(files.c.id).where(files.c.project_id == project).order_by(files.c.id)
    return list((await tx.execute(query.limit(limit))).scalars())


async def used(tx: Tx, digests: Collection[str]) -> set[str]:
    """Return which of some digests files have."""
    query = select(files.c.digest).where(files.c.digest.in_(sorted(digests))).distinct()
    return set((await tx.execute(query)).scalars())


async def ended(tx: Tx, limit: int) -> list[File]:
    """List files whose time has passed."""
    query = select(files).where(files.c.expires_at_ms <= tx.now_ms).order_by(files.c.id)
    return [_file(row) for row in await tx.execute(query.limit(limit))]


async def remove(tx: Tx, file: File) -> None:
    """Delete a file."""
    await queries.remove(tx, files, file.id, file.revision)


def _file(row: Any) -> File:
    values = row._asdict()
    values["purpose"] = Purpose(values["purpose"])
    return File(**values)
