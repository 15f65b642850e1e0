"""Queries of what deployments went through."""

from dataclasses import asdict
from typing import Any

from sqlalchemy import delete, select

from towpath_server.core import queries
from towpath_server.core.db import Tx
from towpath_server.core.paging import Window
from towpath_server.domains.deployments.models.proving import Event
from towpath_server.domains.deployments.tables import deployment_events

_SWEPT = 5_000  # in one transaction: writers wait for it


async def insert(tx: Tx, event: Event) -> None:
    """Add an event."""
    await tx.execute(deployment_events.insert().values(**asdict(event)))


async def page(tx: Tx, deployment_id: str, window: Window) -> list[Event]:
    """List one event more than the window has, oldest first."""
    columns = deployment_events.c
    query = select(deployment_events).where(columns.deployment_id == deployment_id)
    rows = await tx.execute(queries.windowed(query, window, columns.id))
    return [_event(row) for row in rows]


async def forget(tx: Tx, *, before_ms: int) -> int:
    """Drop events of before a time, a bounded number of them; return how many went."""
    columns = deployment_events.c
    old = select(columns.id).where(columns.at_ms < before_ms).limit(_SWEPT)
    result = await tx.execute(delete(deployment_events).where(columns.id.in_(old)))
    return result.rowcount


def _event(row: Any) -> Event:
    return Event(**row._asdict())
