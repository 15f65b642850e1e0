"""Queries of what the load was, how many replicas were decided on, and how long waking took."""

from collections.abc import Collection, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import delete, exists, func, or_, select, update

from towpath_server.core.db import Tx
from towpath_server.core.paging import Window
from towpath_server.domains.deployments.models.scaling import (
    ColdStarted,
    Decision,
    Demand,
    Metric,
    Why,
)
from towpath_server.domains.deployments.tables import (
    cold_starts,
    deployment_demands,
    deployment_revisions,
    deployments,
    replicas,
    scaling_decisions,
)

_LEARNED = 20  # cold starts that an estimate is made of


async def scaled(
    tx: Tx, wanted: Collection[str] | None = None
) -> dict[str, tuple[int | None, int, int]]:
    """
    Return those, of some or of all, that serve and whose number of replicas follows the load.

    Returns:
        By id: the number decided on, the serving and the newest revision.
    """
    d, r = deployments.c, deployment_revisions.c
    query = select(d.id, d.scale, d.serving, d.revision).where(
        d.deleting_at_ms.is_(None),
        d.serving > 0,
        exists().where(
            r.deployment_id == d.id,
            or_(r.number == d.serving, r.number == d.revision),
            r.scaling.is_not(None),
        ),
    )
    if wanted is not None:
        query = query.where(d.id.in_(sorted(wanted)))
    return {row.id: (row.scale, row.serving, row.revision) for row in await tx.execute(query)}


async def hear(tx: Tx, said: Sequence[Demand]) -> None:
    """Write what a gateway says, in the place of what it said before."""
    for one in said:
        values = asdict(one)
        statement = tx.insert(deployment_demands).values(**values)
        statement = statement.on_conflict_do_update(
            index_elements=["gateway", "deployment_id"], set_=values
        )
        await tx.execute(statement)


async def demands(
    tx: Tx, *, since_ms: int | None = None, wanted: Collection[str] | None = None
) -> list[Demand]:
    """List the last words of the gateways, those since a time or on some deployments."""
    query = select(deployment_demands)
    if since_ms is not None:
        query = query.where(deployment_demands.c.at_ms >= since_ms)
    if wanted is not None:
        query = query.where(deployment_demands.c.deployment_id.in_(sorted(wanted)))
    return [Demand(**row._asdict()) for row in await tx.execute(query)]


async def last_call(tx: Tx, deployment_id: str) -> int | None:
    """Return when a gateway last had something to say of the load of a deployment."""
    columns = deployment_demands.c
    query = select(func.max(columns.at_ms)).where(columns.deployment_id == deployment_id)
    return (await tx.execute(query)).scalar_one_or_none()


async def postpone(tx: Tx, busy: Collection[str], until_ms: int, *, grace_ms: int) -> None:
    """
    Keep replicas that are on their way out until a time.

    Args:
        grace_ms: For at most so long where all of the deployment is being deleted.
    """
    ending = select(deployments.c.id).where(deployments.c.deleting_at_ms < until_ms - grace_ms)
    columns = replicas.c
    await tx.execute(
        update(replicas)
        .where(
            columns.id.in_(sorted(busy)),
            columns.retire_at_ms < until_ms,
            columns.deployment_id.not_in(ending),
        )
        .values(retire_at_ms=until_ms)
    )


async def leaving(tx: Tx, wanted: Collection[str]) -> list[str]:
    """Return those of some replicas that are on their way out."""
    query = select(replicas.c.id).where(
        replicas.c.id.in_(sorted(wanted)), replicas.c.retire_at_ms.is_not(None)
    )
    return list((await tx.execute(query)).scalars())


async def decide(tx: Tx, decision: Decision) -> None:
    """Write a decision."""
    await tx.execute(scaling_decisions.insert().values(**asdict(decision)))


async def decisions(tx: Tx, deployment_id: str, window: Window) -> list[Decision]:
    """List one decision more than the window has, newest first."""
    columns = scaling_decisions.c
    query = select(scaling_decisions).where(columns.deployment_id == deployment_id)
    if window.after is not None:
        query = query.where(columns.id < window.after)
    query = query.order_by(columns.id.desc()).limit(window.limit + 1)
    return [_decision(row) for row in await tx.execute(query)]


async def decided_since(tx: Tx, deployment_id: str, since_ms: int) -> list[Decision]:
    """List the decisions since a time."""
    columns = scaling_decisions.c
    query = select(scaling_decisions).where(
        columns.deployment_id == deployment_id, columns.at_ms >= since_ms
    )
    return [_decision(row) for row in await tx.execute(query)]


async def cold_start(tx: Tx, replica_id: str, started: ColdStarted) -> None:
    """Write how long waking took; said twice of a replica, it counts once."""
    statement = tx.insert(cold_starts).values(replica_id=replica_id, **asdict(started))
    await tx.execute(statement.on_conflict_do_nothing())


async def cold_starts_of(tx: Tx, deployment_id: str) -> list[ColdStarted]:
    """List the last cold starts, newest first."""
    columns = cold_starts.c
    query = (
        select(columns.deployment_id, columns.at_ms, columns.took_ms, columns.engine_ms)
        .where(columns.deployment_id == deployment_id)
        .order_by(columns.at_ms.desc())
        .limit(_LEARNED)
    )
    return [ColdStarted(**row._asdict()) for row in await tx.execute(query)]


async def learned(tx: Tx, wanted: Collection[str]) -> dict[str, list[int]]:
    """Return how long the last cold starts took, by deployment, in milliseconds."""
    columns = cold_starts.c
    rank = func.row_number().over(partition_by=columns.deployment_id, order_by=columns.at_ms.desc())
    ranked = select(columns.deployment_id, columns.took_ms, rank.label("rank")).where(
        columns.deployment_id.in_(sorted(wanted))
    )
    last = ranked.subquery()
    found: dict[str, list[int]] = {}
    query = select(last.c.deployment_id, last.c.took_ms).where(last.c.rank <= _LEARNED)
    for row in await tx.execute(query):
        found.setdefault(row.deployment_id, []).append(row.took_ms)
    return found


async def forget(tx: Tx, before_ms: int) -> None:
    """Remove what is older than it is kept."""
    for table in (scaling_decisions, cold_starts):
        await tx.execute(delete(table).where(table.c.at_ms < before_ms))
    await tx.execute(delete(deployment_demands).where(deployment_demands.c.at_ms < before_ms))


def _decision(row: Any) -> Decision:
    fields: dict[str, Any] = row._asdict()
    fields["why"], fields["metric"] = Why(row.why), Metric(row.metric)
    return Decision(**fields)
