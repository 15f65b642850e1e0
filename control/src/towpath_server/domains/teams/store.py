"""Queries of teams."""

from collections.abc import Collection
from dataclasses import asdict
from typing import Any

from sqlalchemy import select

from towpath_server.core import ids, queries
from towpath_server.core.access import Reach
from towpath_server.core.db import Tx
from towpath_server.core.paging import Window
from towpath_server.domains.teams.models import Team
from towpath_server.domains.teams.tables import teams


async def insert(tx: Tx, team: Team) -> None:
    """Add a team."""
    await tx.execute(teams.insert().values(**asdict(team)))


async def find(tx: Tx, ref: str) -> Team | None:
    """Find a team by id or name."""
    column = teams.c.id if ids.is_id(ref, "team") else teams.c.name
    row = (await tx.execute(select(teams).where(column == ref))).first()
    return Team(**row._asdict()) if row else None


async def page(tx: Tx, reach: Reach, window: Window) -> list[Team]:
    """List one team more than the window has, in order of id."""
    query = select(teams).where(queries.within(reach, team=teams.c.id))
    rows = await tx.execute(queries.windowed(query, window, teams.c.id))
    return [Team(**row._asdict()) for row in rows]


async def rows(
    tx: Tx, *, wanted: Collection[str] | None, after: str = "", limit: int = 5_000
) -> list[Team]:
    """List teams by id, or all after one, in order of id and whoever asks."""
    query = select(teams)
    if wanted is None:
        query = query.where(teams.c.id > after).order_by(teams.c.id).limit(limit)
    else:
        query = query.where(teams.c.id.in_(sorted(wanted)))
    return [Team(**row._asdict()) for row in await tx.execute(query)]


async def any_exists(tx: Tx) -> bool:
    """Tell whether there is a team at all."""
    return (await tx.execute(select(teams.c.id).limit(1))).first() is not None


async def change(tx: Tx, team: Team, values: dict[str, Any]) -> None:
    """Change some columns."""
    await queries.change(tx, teams, team.id, team.revision, values)


async def delete(tx: Tx, team: Team) -> None:
    """Remove a team."""
    await queries.remove(tx, teams, team.id, team.revision)
