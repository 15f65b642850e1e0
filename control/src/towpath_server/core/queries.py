"""What every store needs: columns of a resource, tenancy as a condition, paging, guarded change."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Integer,
    Select,
    String,
    Table,
    delete,
    false,
    or_,
    select,
    true,
    update,
)

from towpath_server.core.access import Reach
from towpath_server.core.db import Tx
from towpath_server.core.errors import ConcurrentChange
from towpath_server.core.paging import Window

_PORTION = 1_000  # rows that are read at a time when all of them must be


def resource() -> list[Column[Any]]:
    """Return the columns that every resource has."""
    return [
        Column("id", String(64), primary_key=True),
        Column("revision", Integer, nullable=False),
        Column("created_at_ms", BigInteger, nullable=False),
        Column("updated_at_ms", BigInteger, nullable=False),
    ]


def within(
    reach: Reach, *, team: Column[Any] | None = None, project: Column[Any] | None = None
) -> ColumnElement[bool]:
    """Write a caller's reach as a condition on the columns that hold team and project."""
    if reach.everything:
        return true()
    conditions: list[ColumnElement[bool]] = [false()]
    if team is not None and reach.teams:
        conditions.append(team.in_(sorted(reach.teams)))
    if project is not None and reach.projects:
        conditions.append(project.in_(sorted(reach.projects)))
    return or_(*conditions)


def windowed(query: Select[Any], window: Window, by: Column[Any]) -> Select[Any]:
    """Select one row more than the window has, in order of `by`, after its cursor."""
    if window.after is not None:
        query = query.where(by > window.after)
    return query.order_by(by).limit(window.limit + 1)


async def change(tx: Tx, table: Table, id: str, revision: int, values: dict[str, Any]) -> None:  # noqa: A002
    """
    Change a row that was read at `revision`, and count its revision up.

    Raises:
        ConcurrentChange: Another transaction changed or deleted it since it was read.
    """
    result = await tx.execute(
        update(table)
        .where(table.c.id == id, table.c.revision == revision)
        .values(**values, revision=revision + 1, updated_at_ms=tx.now_ms)
    )
    if result.rowcount != 1:
        raise ConcurrentChange(table=table.name)


async def remove(tx: Tx, table: Table, id: str, revision: int) -> None:  # noqa: A002
    """
    Delete a row that was read at `revision`.

    Raises:
        ConcurrentChange: Another transaction changed or deleted it since it was read.
    """
    result = await tx.execute(delete(table).where(table.c.id == id, table.c.revision == revision))
    if result.rowcount != 1:
        raise ConcurrentChange(table=table.name)


async def digests_among(
    tx: Tx, key: Column[Any], files: Column[Any], digests: Collection[str]
) -> set[str]:
    """
    Return those of some digests that stand in a column of lists of files.

    Reads the column in portions: it is asked once a sweep, and an index would cost every write.
    """
    wanted, found, after = set(digests), set[str](), ""
    while True:
        columns = (key.label("key"), files.label("files"))
        query = select(*columns).where(key > after).order_by(key).limit(_PORTION)
        rows = (await tx.execute(query)).all()
        for row in rows:
            found |= {file["digest"] for file in row.files} & wanted
        if len(rows) < _PORTION:
            return found
        after = rows[-1].key
