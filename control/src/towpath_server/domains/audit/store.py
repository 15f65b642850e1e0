"""Queries of the audit log."""

from dataclasses import asdict
from typing import Any

from sqlalchemy import select

from towpath_server.core import queries
from towpath_server.core.access import Reach
from towpath_server.core.db import Tx
from towpath_server.core.paging import Window
from towpath_server.domains.audit.models import Event, Filter, Outcome
from towpath_server.domains.audit.tables import events


async def insert(tx: Tx, event: Event) -> None:
    """Add an event."""
    await tx.execute(events.insert().values(**asdict(event)))


async def page(tx: Tx, reach: Reach, wanted: Filter, window: Window) -> list[Event]:
    """List one event more than the window has, newest first."""
    query = select(events).where(queries.within(reach, team=events.c.team_id))
    for column, value in (
        (events.c.noun, wanted.noun),
        (events.c.resource_id, wanted.resource_id),
        (events.c.principal_id, wanted.principal_id),
        (events.c.team_id, wanted.team_id),
    ):
        if value is not None:
            query = query.where(column == value)
    if wanted.since_ms is not None:
        query = query.where(events.c.at_ms >= wanted.since_ms)
    if window.after is not None:
        query = query.where(events.c.id < window.after)
    rows = await tx.execute(query.order_by(events.c.id.desc()).limit(window.limit + 1))
    return [_event(row) for row in rows]


def _event(row: Any) -> Event:
    fields: dict[str, Any] = row._asdict()
    fields["outcome"] = Outcome(row.outcome)
    return Event(**fields)
