"""Queries of batches and their results."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import delete, func, select, update

from towpath_server.core import queries
from towpath_server.core.access import Reach
from towpath_server.core.db import Tx
from towpath_server.core.paging import Window
from towpath_server.domains.batches.models import ACTIVE, Batch, Flaw, Result, Status, Url
from towpath_server.domains.batches.tables import batches, results

_active = batches.c.status.in_(sorted(ACTIVE))


async def insert(tx: Tx, batch: Batch) -> None:
    """Add a batch."""
    await tx.execute(batches.insert().values(**asdict(batch)))


async def find(tx: Tx, id: str) -> Batch | None:  # noqa: A002
    """Find a batch by id."""
    row = (await tx.execute(select(batches).where(batches.c.id == id))).first()
    return _batch(row) if row else None


async def page(tx: Tx, reach: Reach, window: Window, *, environment: str | None) -> list[Batch]:
    """List one batch more than the window has, newest first."""
    query = select(batches).where(
        queries.within(reach, team=batches.c.team_id, project=batches.c.project_id)
    )
    if environment is not None:
        query = query.where(batches.c.environment == environment)
    if window.after is not None:
        query = query.where(batches.c.id < window.after)
    rows = await tx.execute(query.order_by(batches.c.id.desc()).limit(window.limit + 1))
    return [_batch(row) for row in rows]


async def active(tx: Tx, *, limit: int) -> list[Batch]:
    """List batches that have not ended, oldest first."""
    rows = await tx.execute(select(batches).where(_active).order_by(batches.c.id).limit(limit))
    return [_batch(row) for row in rows]


async def count_active(tx: Tx, project: str) -> int:
    """Count the batches of a project that have not ended."""
    query = select(func.count()).where(batches.c.project_id == project, _active)
    return int((await tx.execute(query)).scalar_one())


async def active_of_file(tx: Tx, file: str, limit: int) -> list[str]:
    """List a few batches that have not ended and read a file."""
    query = select(batches.c.id).where(batches.c.input_file == file, _active)
    return list((await tx.execute(query.order_by(batches.c.id).limit(limit))).scalars())


async def active_of_project(tx: Tx, project: str, limit: int) -> list[str]:
    """List a few batches of a project that have not ended."""
    query = select(batches.c.id).where(batches.c.project_id == project, _active)
    return list((await tx.execute(query.order_by(batches.c.id).limit(limit))).scalars())


async def change(tx: Tx, batch: Batch, values: dict[str, Any]) -> None:
    """Change a batch that was read at its revision."""
    await queries.change(tx, batches, batch.id, batch.revision, values)


async def status(tx: Tx, id: str) -> Status | None:  # noqa: A002
    """Return where a batch is."""
    found = (await tx.execute(select(batches.c.status).where(batches.c.id == id))).scalar()
    return None if found is None else Status(found)


async def add_results(tx: Tx, id: str, found: Sequence[Result]) -> None:  # noqa: A002
    """
    Store results, and count those that are new; a line that has one keeps it.

    The counts belong to the rows, so they rise in the same transaction and without a revision.
    """
    statement = tx.insert(results).on_conflict_do_nothing().returning(results.c.ok)
    rows = [
        {"batch_id": id, "line": one.index, "ok": one.ok, "document": one.document}
        for one in sorted(found, key=lambda one: one.index)
    ]
    new = list((await tx.execute(statement, rows)).scalars())
    if new:
        await tx.execute(
            update(batches)
            .where(batches.c.id == id)
            .values(
                completed=batches.c.completed + new.count(True),
                failed=batches.c.failed + new.count(False),
            )
        )


async def done(tx: Tx, id: str) -> set[int]:  # noqa: A002
    """Return which lines have a result."""
    query = select(results.c.line).where(results.c.batch_id == id)
    return set((await tx.execute(query)).scalars())


async def results_after(tx: Tx, id: str, line: int, *, ok: bool, limit: int) -> list[Result]:  # noqa: A002
    """List results after a line, in order of their lines."""
    query = (
        select(results)
        .where(results.c.batch_id == id, results.c.line > line, results.c.ok == ok)
        .order_by(results.c.line)
        .limit(limit)
    )
    return [Result(row.line, row.ok, row.document) for row in await tx.execute(query)]


async def clear_results(tx: Tx, id: str) -> None:  # noqa: A002
    """Remove the results of a batch, once files hold them."""
    await tx.execute(delete(results).where(results.c.batch_id == id))


def _batch(row: Any) -> Batch:
    values = row._asdict()
    values["url"], values["status"] = Url(values["url"]), Status(values["status"])
    values["ends_as"] = Status(values["ends_as"]) if values["ends_as"] else None
    values["flaws"] = tuple(Flaw(**flaw) for flaw in values["flaws"])
    return Batch(**values)
