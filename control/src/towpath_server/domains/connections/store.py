"""Queries of connections."""

from dataclasses import asdict
from typing import Any

from sqlalchemy import or_, select

from towpath_server.core import ids, queries
from towpath_server.core.access import Reach
from towpath_server.core.db import Tx
from towpath_server.core.paging import Window
from towpath_server.domains.connections.models import Connection, Found
from towpath_server.domains.connections.tables import connections


async def insert(tx: Tx, connection: Connection, sealed: str | None) -> None:
    """Add a connection with its sealed credential."""
    values = asdict(connection)
    values.pop("team")
    await tx.execute(connections.insert().values(**values, credential_sealed=sealed))


async def find(tx: Tx, ref: str) -> Connection | None:
    """Find a connection by id or name, whoever asks."""
    column = connections.c.id if ids.is_id(ref, "con") else connections.c.name
    row = (await tx.execute(select(connections).where(column == ref))).first()
    return _connection(row) if row else None


async def page(tx: Tx, reach: Reach, window: Window) -> list[Connection]:
    """List one connection more than the window has: the organisation's, and those within reach."""
    within = queries.within(reach, team=connections.c.team_id)
    query = select(connections).where(or_(connections.c.team_id.is_(None), within))
    rows = await tx.execute(queries.windowed(query, window, connections.c.id))
    return [_connection(row) for row in rows]


async def for_team(tx: Tx, team_id: str) -> list[Found]:
    """List what a team may use: its own connections and the organisation's."""
    owner = connections.c.team_id
    query = select(connections).where(or_(owner.is_(None), owner == team_id))
    rows = await tx.execute(query.order_by(connections.c.id))
    return [Found(_connection(row), row.credential_sealed) for row in rows]


async def of_team(tx: Tx, team_id: str) -> list[Connection]:
    """List a team's own connections."""
    rows = await tx.execute(select(connections).where(connections.c.team_id == team_id))
    return [_connection(row) for row in rows]


async def change(tx: Tx, connection: Connection, values: dict[str, Any]) -> None:
    """Change some columns."""
    await queries.change(tx, connections, connection.id, connection.revision, values)


async def remove(tx: Tx, connection: Connection) -> None:
    """Remove a connection."""
    await queries.remove(tx, connections, connection.id, connection.revision)


def _connection(row: Any) -> Connection:
    fields: dict[str, Any] = row._asdict()
    fields.pop("credential_sealed")
    return Connection(**fields)
