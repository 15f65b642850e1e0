"""Queries of budgets as they are declared, in the main database."""

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import Select, select

from towpath_server.core import queries, subjects
from towpath_server.core.access import Reach
from towpath_server.core.db import Tx
from towpath_server.core.paging import Window
from towpath_server.domains.budgets.models import Budget, Level, Mode, Period, Unit, Use
from towpath_server.domains.budgets.tables import budgets, levels
from towpath_server.domains.limits.models import Owner, Setter, Subject


async def insert(tx: Tx, budget: Budget) -> None:
    """Add a budget."""
    await tx.execute(
        budgets.insert().values(
            id=budget.id,
            revision=budget.revision,
            created_at_ms=budget.created_at_ms,
            updated_at_ms=budget.updated_at_ms,
            **{f"{part}_id": value for part, value in budget.subject.given().items()},
            owner_team_id=budget.owner.team_id,
            owner_project_id=budget.owner.project_id,
            set_by=budget.set_by,
            unit=budget.unit,
            amount=budget.amount,
            period=budget.period,
            mode=budget.mode,
            warn_percent=budget.warn_percent,
        )
    )


async def find(tx: Tx, ref: str) -> Budget | None:
    """Find a budget by id."""
    row = (await tx.execute(select(budgets).where(budgets.c.id == ref))).first()
    return _budget(row) if row else None


async def page(tx: Tx, reach: Reach, subject: Mapping[str, str], window: Window) -> list[Budget]:
    """List one budget more than the window has; `subject` narrows to these parts."""
    return await _read(tx, subjects.page(budgets, reach, subject, window))


async def note_level(tx: Tx, budget: Budget, use: Use, level: Level) -> bool:
    """Note that people are told of a level; tell whether they were not yet."""
    statement = tx.insert(levels).values(
        budget_id=budget.id,
        period_start_ms=use.period_start_ms,
        level=level,
        amount=budget.amount,
    )
    added = await tx.execute(statement.on_conflict_do_nothing().returning(levels.c.level))
    return added.first() is not None


async def rows(
    tx: Tx, *, wanted: Collection[str] | None, after: str = "", limit: int = 5_000
) -> list[Budget]:
    """List budgets by id, or all after one, in order of id and whoever asks."""
    return await _read(tx, subjects.rows(budgets, wanted=wanted, after=after, limit=limit))


async def change(tx: Tx, budget: Budget, values: Mapping[str, Any]) -> None:
    """Change some columns."""
    await queries.change(tx, budgets, budget.id, budget.revision, dict(values))


async def remove(tx: Tx, budget: Budget) -> None:
    """Remove a budget."""
    await queries.remove(tx, budgets, budget.id, budget.revision)


async def naming(tx: Tx, part: str, id_: str) -> list[Budget]:
    """List the budgets whose subject has this part."""
    return await _read(tx, subjects.naming(budgets, part, id_))


async def remove_all(tx: Tx, ids: Collection[str]) -> None:
    """Remove budgets by id."""
    await tx.execute(subjects.removal(budgets, ids))


async def worded_by(tx: Tx, part: str, id_: str) -> list[str]:
    """List the ids of budgets whose words have the name of this key, project or team."""
    return list((await tx.execute(subjects.worded_by(budgets, part, id_))).scalars())


async def _read(tx: Tx, query: Select[Any]) -> list[Budget]:
    return [_budget(row) for row in await tx.execute(query)]


def _budget(row: Any) -> Budget:
    return Budget(
        id=row.id,
        revision=row.revision,
        created_at_ms=row.created_at_ms,
        updated_at_ms=row.updated_at_ms,
        subject=Subject(row.key_id, row.project_id, row.team_id, row.endpoint_id),
        owner=Owner(row.owner_team_id, row.owner_project_id),
        set_by=Setter(row.set_by),
        unit=Unit(row.unit),
        amount=row.amount,
        period=Period(row.period),
        mode=Mode(row.mode),
        warn_percent=row.warn_percent,
    )
