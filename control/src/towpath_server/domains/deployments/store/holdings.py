"""Queries of what deployments hold of the machines and of their teams' quotas."""

from collections import defaultdict

from sqlalchemy import and_, exists, func, or_, select

from towpath_server.core.db import Tx
from towpath_server.domains.deployments.models.rollout import Outcome
from towpath_server.domains.deployments.tables import (
    deployment_revisions,
    deployments,
    replicas,
    rollouts,
)
from towpath_server.domains.quotas.models import Draw, Holding


async def rows(tx: Tx, *, team_id: str | None, environment: str | None) -> list[Holding]:
    """
    List what deployments hold, of everybody, of a team, or of a team in one environment.

    A deployment holds what its newest revision declares; while another one takes the traffic, the
    larger of the two in everything. One that is scaled holds what there is of it now, or is to be;
    a revision that was given up, or of a deployment that is being deleted, what still runs of it.
    """
    d, r = deployments.c, deployment_revisions.c
    query = (
        select(
            d.id,
            d.name,
            d.environment,
            d.team_id,
            d.project_id,
            d.deleting_at_ms,
            d.expires_at_ms,
            d.serving,
            r.number,
            r.replicas,
            r.scaling,
            d.scale,
            rollouts.c.outcome,
            r.cpu_milli,
            r.memory_bytes,
            r.gpus,
            r.gpu_class,
        )
        .join(deployment_revisions, d.id == r.deployment_id)
        .outerjoin(rollouts, and_(rollouts.c.deployment_id == d.id, rollouts.c.number == r.number))
        .where(or_(r.number == d.revision, r.number == d.serving))
        .order_by(d.id, r.number)
    )
    if team_id is not None:
        query = query.where(d.team_id == team_id)
    if environment is not None:
        query = query.where(d.environment == environment)
    running = await _running(tx)
    found: dict[str, Holding] = {}
    for row in await tx.execute(query):
        ending = row.deleting_at_ms is not None
        runs = running[row.id, row.number]
        given_up = row.outcome not in {None, Outcome.COMPLETED} and row.number != row.serving
        count = runs if ending or given_up else row.replicas
        if row.scaling is not None and not ending and not given_up:
            scale = max(1, row.scaling["least"]) if row.scale is None else row.scale
            proves = int(row.number != row.serving)
            count = max(runs, min(max(scale, row.scaling["least"], proves), row.replicas))
        gpus = {row.gpu_class: row.gpus} if row.gpus else {}
        draw = Draw(1, row.cpu_milli, row.memory_bytes, gpus).times(count)
        other = found.get(row.id)
        found[row.id] = Holding(
            deployment_id=row.id,
            name=row.name,
            environment=row.environment,
            team_id=row.team_id,
            project_id=row.project_id,
            draw=draw.beside(other.draw) if other else draw,
            ending=ending,
            until_ms=row.expires_at_ms,
        )
    return [holding for holding in found.values() if holding.draw.words()]


async def _running(tx: Tx) -> dict[tuple[str, int], int]:
    """Count the replicas of deployments whose number changes: by load, or because they end."""
    query = (
        select(replicas.c.deployment_id, replicas.c.number, func.count().label("running"))
        .join(deployments, deployments.c.id == replicas.c.deployment_id)
        .where(
            or_(
                deployments.c.deleting_at_ms.is_not(None),
                deployments.c.scale.is_not(None),
                exists().where(rollouts.c.deployment_id == deployments.c.id),
            )
        )
        .group_by(replicas.c.deployment_id, replicas.c.number)
    )
    counts: dict[tuple[str, int], int] = defaultdict(int)
    for row in await tx.execute(query):
        counts[row.deployment_id, row.number] = row.running
    return counts
