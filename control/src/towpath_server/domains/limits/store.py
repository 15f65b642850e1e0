"""Queries of limits."""

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import Select, select

from towpath_server.core import queries, subjects
from towpath_server.core.access import Reach
from towpath_server.core.db import Tx
from towpath_server.core.paging import Window
from towpath_server.domains.limits.models import (
    RATES,
    Limit,
    Owner,
    Rate,
    Rules,
    Setter,
    Subject,
)
from towpath_server.domains.limits.tables import limits


async def insert(tx: Tx, limit: Limit) -> None:
    """Add a limit."""
    await tx.execute(
        limits.insert().values(
            id=limit.id,
            revision=limit.revision,
            created_at_ms=limit.created_at_ms,
            updated_at_ms=limit.updated_at_ms,
            **{f"{part}_id": value for part, value in limit.subject.given().items()},
            owner_team_id=limit.owner.team_id,
            owner_project_id=limit.owner.project_id,
            set_by=limit.set_by,
            **_columns(limit.rules),
        )
    )


async def find(tx: Tx, ref: str) -> Limit | None:
    """Find a limit by id."""
    row = (await tx.execute(select(limits).where(limits.c.id == ref))).first()
    return _limit(row) if row else None


async def page(tx: Tx, reach: Reach, subject: Mapping[str, str], window: Window) -> list[Limit]:
    """List one limit more than the window has; `subject` narrows to these parts."""
    return await _read(tx, subjects.page(limits, reach, subject, window))


async def rows(
    tx: Tx, *, wanted: Collection[str] | None, after: str = "", limit: int = 5_000
) -> list[Limit]:
    """List limits by id, or all after one, in order of id and whoever asks."""
    return await _read(tx, subjects.rows(limits, wanted=wanted, after=after, limit=limit))


async def change(tx: Tx, limit: Limit, rules: Rules) -> None:
    """Replace what is allowed."""
    await queries.change(tx, limits, limit.id, limit.revision, _columns(rules))


async def remove(tx: Tx, limit: Limit) -> None:
    """Remove a limit."""
    await queries.remove(tx, limits, limit.id, limit.revision)


async def naming(tx: Tx, part: str, id_: str) -> list[Limit]:
    """List the limits whose subject has this part."""
    return await _read(tx, subjects.naming(limits, part, id_))


async def remove_all(tx: Tx, ids: Collection[str]) -> None:
    """Remove limits by id."""
    await tx.execute(subjects.removal(limits, ids))


async def worded_by(tx: Tx, part: str, id_: str) -> list[str]:
    """List the ids of limits whose words have the name of this key, project or team."""
    return list((await tx.execute(subjects.worded_by(limits, part, id_))).scalars())


async def _read(tx: Tx, query: Select[Any]) -> list[Limit]:
    return [_limit(row) for row in await tx.execute(query)]


def _columns(rules: Rules) -> dict[str, Any]:
    values: dict[str, Any] = {"concurrency": rules.concurrency}
    for name in RATES:
        rate: Rate | None = getattr(rules, name)
        values[name] = rate.limit if rate else None
        values[f"{name}_burst"] = rate.burst if rate else None
    return values


def _limit(row: Any) -> Limit:
    rates = {
        name: Rate(getattr(row, name), getattr(row, f"{name}_burst"))
        for name in RATES
        if getattr(row, name) is not None
    }
    return Limit(
        id=row.id,
        revision=row.revision,
        created_at_ms=row.created_at_ms,
        updated_at_ms=row.updated_at_ms,
        subject=Subject(row.key_id, row.project_id, row.team_id, row.endpoint_id),
        owner=Owner(row.owner_team_id, row.owner_project_id),
        set_by=Setter(row.set_by),
        rules=Rules(**rates, concurrency=row.concurrency),
    )
