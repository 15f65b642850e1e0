"""Queries of quotas."""

from collections.abc import Collection
from dataclasses import asdict
from typing import Any

from sqlalchemy import delete, select, true

from towpath_server.core import queries
from towpath_server.core.db import Tx
from towpath_server.core.paging import Window
from towpath_server.domains.quotas.models import Amounts, Quota
from towpath_server.domains.quotas.tables import quotas


async def insert(tx: Tx, quota: Quota) -> None:
    """Add a quota."""
    await tx.execute(
        quotas.insert().values(
            id=quota.id,
            revision=quota.revision,
            created_at_ms=quota.created_at_ms,
            updated_at_ms=quota.updated_at_ms,
            team_id=quota.team_id,
            environment=quota.environment,
            **asdict(quota.amounts),
        )
    )


async def find(tx: Tx, quota_id: str) -> Quota | None:
    """Find a quota by id."""
    row = (await tx.execute(select(quotas).where(quotas.c.id == quota_id))).first()
    return _quota(row) if row else None


async def of(tx: Tx, team_id: str, environment: str) -> Quota | None:
    """Find the quota of a team in an environment."""
    query = select(quotas).where(quotas.c.team_id == team_id, quotas.c.environment == environment)
    row = (await tx.execute(query)).first()
    return _quota(row) if row else None


async def page(
    tx: Tx, teams: Collection[str] | None, *, environment: str | None, window: Window
) -> list[Quota]:
    """List one quota more than the window has; `teams`: only theirs."""
    within = true() if teams is None else quotas.c.team_id.in_(sorted(teams))
    query = select(quotas).where(within)
    if environment is not None:
        query = query.where(quotas.c.environment == environment)
    rows = await tx.execute(queries.windowed(query, window, quotas.c.id))
    return [_quota(row) for row in rows]


async def change(tx: Tx, quota: Quota, amounts: Amounts) -> None:
    """Replace what may be reserved."""
    await queries.change(tx, quotas, quota.id, quota.revision, asdict(amounts))


async def remove(tx: Tx, quota: Quota) -> None:
    """Remove a quota."""
    await queries.remove(tx, quotas, quota.id, quota.revision)


async def remove_of(tx: Tx, team_id: str) -> None:
    """Remove the quotas of a team."""
    await tx.execute(delete(quotas).where(quotas.c.team_id == team_id))


def _quota(row: Any) -> Quota:
    return Quota(
        id=row.id,
        revision=row.revision,
        created_at_ms=row.created_at_ms,
        updated_at_ms=row.updated_at_ms,
        team_id=row.team_id,
        environment=row.environment,
        amounts=Amounts(row.replicas, row.cpu_milli, row.memory_bytes, row.gpus),
    )
