"""Queries of rollouts, and of what gateways count while one is open."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import and_, delete, exists, or_, select, update

from towpath_server.core.db import Tx
from towpath_server.domains.deployments.models.rollout import (
    Counts,
    Evidence,
    Outcome,
    Plan,
    Rollout,
    Stretch,
)
from towpath_server.domains.deployments.store.deployments import of_newest
from towpath_server.domains.deployments.tables import (
    deployments,
    replicas,
    rollout_counts,
    rollouts,
)


async def insert(tx: Tx, made: Rollout) -> None:
    """Add a rollout."""
    await tx.execute(rollouts.insert().values(**_written(asdict(made) | _parts(made))))


async def change(tx: Tx, found: Rollout, values: Mapping[str, Any]) -> None:
    """Write how far a rollout is; that counts its revision up."""
    written = {**values, "revision": found.revision + 1, "updated_at_ms": tx.now_ms}
    query = update(rollouts).where(rollouts.c.id == found.id)
    await tx.execute(query.values(**_written(written)))


async def newest(tx: Tx, deployment_ids: Collection[str]) -> dict[str, Rollout]:
    """Return the rollouts of the newest revisions, by deployment."""
    query = of_newest(rollouts, deployment_ids)
    return {row.deployment_id: _rollout(row) for row in await tx.execute(query)}


async def of(tx: Tx, deployment_id: str, numbers: Collection[int]) -> dict[int, Rollout]:
    """Return the rollouts of some revisions of a deployment, by their numbers."""
    columns = rollouts.c
    query = select(rollouts).where(
        columns.deployment_id == deployment_id, columns.number.in_(sorted(numbers))
    )
    return {row.number: _rollout(row) for row in await tx.execute(query)}


async def last(tx: Tx, deployment_id: str) -> Rollout | None:
    """Return the rollout of a deployment that was declared last."""
    columns = rollouts.c
    query = select(rollouts).where(columns.deployment_id == deployment_id)
    row = (await tx.execute(query.order_by(columns.number.desc()).limit(1))).first()
    return _rollout(row) if row else None


async def open_(tx: Tx, wanted: Collection[str]) -> dict[str, Rollout]:
    """Return the open rollouts of some deployments, by deployment."""
    columns = rollouts.c
    query = select(rollouts).where(
        columns.outcome.is_(None), columns.deployment_id.in_(sorted(wanted))
    )
    return {row.deployment_id: _rollout(row) for row in await tx.execute(query)}


async def routed(tx: Tx) -> Sequence[Rollout]:
    """Return the rollouts that are open, or of whose revision replicas are left."""
    columns = rollouts.c
    left = exists().where(
        replicas.c.deployment_id == columns.deployment_id, replicas.c.number == columns.number
    )
    query = (
        select(rollouts)
        .join(deployments, deployments.c.id == columns.deployment_id)
        .where(
            or_(and_(columns.outcome.is_(None), deployments.c.deleting_at_ms.is_(None)), left),
            columns.begun_at_ms.is_not(None),
            columns.number != deployments.c.serving,
        )
    )
    return [_rollout(row) for row in await tx.execute(query)]


async def said(tx: Tx, targets: Collection[str]) -> dict[tuple[str, str], tuple[Counts, Counts]]:
    """Return, by gateway and target, what was said last and what that comes to so far."""
    query = select(rollout_counts).where(rollout_counts.c.target.in_(sorted(targets)))
    return {
        (row.gateway, row.target): (Counts.of(row.said), Counts.of(row.counted))
        for row in await tx.execute(query)
    }


async def say(tx: Tx, key: tuple[str, str], deployment_id: str, now: tuple[Counts, Counts]) -> None:
    """Write what a gateway says now of a target, and what that comes to."""
    gateway, target = key
    values = {
        "deployment_id": deployment_id,
        "said": now[0].document(),
        "counted": now[1].document(),
    }
    statement = tx.insert(rollout_counts).values(gateway=gateway, target=target, **values)
    statement = statement.on_conflict_do_update(index_elements=["gateway", "target"], set_=values)
    await tx.execute(statement)


async def counted(tx: Tx, found: Rollout) -> Evidence:
    """Return what all gateways counted of both revisions since the rollout was declared."""
    both = {found.deployment_id: Counts(), found.target: Counts()}
    query = select(rollout_counts.c.target, rollout_counts.c.counted)
    query = query.where(rollout_counts.c.target.in_(sorted(both)))
    for row in await tx.execute(query):
        both[row.target] = both[row.target].plus(Counts.of(row.counted))
    return Evidence(both[found.target], both[found.deployment_id])


async def forget_counts(tx: Tx, deployment_id: str) -> None:
    """Remove what was counted."""
    columns = rollout_counts.c
    await tx.execute(delete(rollout_counts).where(columns.deployment_id == deployment_id))


def _parts(made: Rollout) -> dict[str, Any]:
    return {"plan": made.plan, "base": made.base, "stretches": made.stretches}


def _written(values: Mapping[str, Any]) -> dict[str, Any]:
    written = dict(values)
    for name in ("plan", "base"):
        if name in written:
            written[name] = written[name].document()
    if "stretches" in written:
        written["stretches"] = [one.document() for one in written["stretches"]]
    return written


def _rollout(row: Any) -> Rollout:
    fields: dict[str, Any] = row._asdict()
    fields["plan"] = Plan.of(row.plan)
    fields["base"] = Evidence.of(row.base)
    fields["stretches"] = tuple(Stretch.of(one) for one in row.stretches)
    fields["outcome"] = Outcome(row.outcome) if row.outcome else None
    return Rollout(**fields)
