"""Queries of what took traffic when, and of what became of deployments."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import or_, select, update

from towpath_server.core import queries
from towpath_server.core.access import Reach
from towpath_server.core.db import Tx
from towpath_server.core.paging import Window
from towpath_server.domains.deployments.models.history import Exposure, Hand, Origin, Record
from towpath_server.domains.deployments.tables import deployment_records, exposures


async def begin(tx: Tx, exposure: Exposure) -> None:
    """Note that a revision takes the traffic from now on."""
    values = asdict(exposure)
    values.pop("project_path")
    await tx.execute(exposures.insert().values(**values))


async def end(tx: Tx, deployment_id: str, at_ms: int) -> None:
    """Note that what took the traffic of a deployment does so no more."""
    columns = exposures.c
    await tx.execute(
        update(exposures)
        .where(columns.deployment_id == deployment_id, columns.until_ms.is_(None))
        .values(until_ms=at_ms)
    )


async def current(tx: Tx, deployment_id: str) -> Exposure | None:
    """Return what takes the traffic of a deployment."""
    columns = exposures.c
    query = select(exposures).where(
        columns.deployment_id == deployment_id, columns.until_ms.is_(None)
    )
    row = (await tx.execute(query)).first()
    return _exposure(row) if row else None


async def page(
    tx: Tx,
    reach: Reach,
    model: str,
    window: Window,
    *,
    environment: str | None,
    at_ms: int | None,
) -> list[Exposure]:
    """List one exposure of a model more than the window has, the latest first."""
    columns = exposures.c
    query = select(exposures).where(
        columns.model == model,
        queries.within(reach, team=columns.team_id, project=columns.project_id),
    )
    if environment is not None:
        query = query.where(columns.environment == environment)
    if at_ms is not None:
        query = query.where(
            columns.from_ms <= at_ms, or_(columns.until_ms.is_(None), columns.until_ms > at_ms)
        )
    if window.after is not None:
        query = query.where(columns.id < window.after)
    rows = await tx.execute(query.order_by(columns.id.desc()).limit(window.limit + 1))
    return [_exposure(row) for row in rows]


async def open_record(tx: Tx, record: Record) -> None:
    """Begin the record of a deployment."""
    await tx.execute(deployment_records.insert().values(**asdict(record)))


async def note(tx: Tx, deployment_id: str, values: Mapping[str, Any], *, early: bool) -> None:
    """Write into the record of a deployment; `early`: only while it was never ready."""
    columns = deployment_records.c
    query = update(deployment_records).where(columns.deployment_id == deployment_id)
    if early:
        query = query.where(columns.first_ready_at_ms.is_(None))
    await tx.execute(query.values(**values))


async def records(
    tx: Tx, reach: Reach, *, since_ms: int, until_ms: int, team_id: str | None
) -> list[Record]:
    """List the records of deployments that were made in a stretch of time."""
    columns = deployment_records.c
    query = select(deployment_records).where(
        queries.within(reach, team=columns.team_id, project=columns.project_id),
        columns.created_at_ms >= since_ms,
        columns.created_at_ms < until_ms,
    )
    if team_id is not None:
        query = query.where(columns.team_id == team_id)
    return [_record(row) for row in await tx.execute(query)]


def _exposure(row: Any) -> Exposure:
    fields: dict[str, Any] = row._asdict()
    fields["origin"] = Origin.read(row.origin)
    return Exposure(**fields)


def _record(row: Any) -> Record:
    fields: dict[str, Any] = row._asdict()
    fields["hand"] = Hand(row.hand) if row.hand else None
    return Record(**fields)
