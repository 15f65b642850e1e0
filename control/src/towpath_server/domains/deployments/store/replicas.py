"""Queries of replicas."""

from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import delete, select, update

from towpath_server.core.db import Tx
from towpath_server.domains.deployments.models import Replica, ReplicaState
from towpath_server.domains.deployments.tables import deployments, replicas
from towpath_server.domains.providers.models import Credential

_SHOWN = [column for column in replicas.c if column.name != "credential_sealed"]


async def insert(tx: Tx, replica: Replica, sealed: str) -> None:
    """Add a replica."""
    await tx.execute(replicas.insert().values(**asdict(replica), credential_sealed=sealed))


async def change(tx: Tx, replica_id: str, values: Mapping[str, Any]) -> None:
    """Write what was observed of a replica, or decided for it."""
    await tx.execute(update(replicas).where(replicas.c.id == replica_id).values(**values))


async def remove(tx: Tx, replica_id: str) -> None:
    """Remove a replica."""
    await tx.execute(delete(replicas).where(replicas.c.id == replica_id))


async def of(tx: Tx, deployment_ids: Collection[str]) -> dict[str, list[Replica]]:
    """Return the replicas of deployments, by revision and ordinal."""
    found: dict[str, list[Replica]] = {deployment_id: [] for deployment_id in deployment_ids}
    if not found:
        return found
    query = select(*_SHOWN).where(replicas.c.deployment_id.in_(sorted(found)))
    query = query.order_by(replicas.c.number, replicas.c.ordinal, replicas.c.id)
    for row in await tx.execute(query):
        fields = row._asdict()
        fields["state"] = ReplicaState(row.state)
        for name in ("gpus", "isolation"):
            fields[name] = tuple(fields[name] or ())
        found[row.deployment_id].append(Replica(**fields))
    return found


async def owners(tx: Tx, replica_ids: Collection[str]) -> dict[str, tuple[str, str, str]]:
    """Return id, name and environment of the deployments of replicas, by the replicas' ids."""
    if not replica_ids:
        return {}
    query = (
        select(
            replicas.c.id.label("replica"),
            deployments.c.id,
            deployments.c.name,
            deployments.c.environment,
        )
        .join_from(replicas, deployments, deployments.c.id == replicas.c.deployment_id)
        .where(replicas.c.id.in_(sorted(replica_ids)))
    )
    rows = await tx.execute(query)
    return {row.replica: (row.id, row.name, row.environment) for row in rows}


async def all_ids(tx: Tx) -> set[str]:
    """Return the ids of all replicas."""
    return set((await tx.execute(select(replicas.c.id))).scalars())


async def sealed(tx: Tx, replica_id: str) -> str | None:
    """Return a replica's sealed secret."""
    query = select(replicas.c.credential_sealed).where(replicas.c.id == replica_id)
    return (await tx.execute(query)).scalar_one_or_none()


async def credentials(
    tx: Tx, *, wanted: Collection[str] | None, after: str, limit: int
) -> list[Credential]:
    """List sealed secrets by id, or all after one, in order of id."""
    column = replicas.c.credential_id
    query = select(column, replicas.c.credential_sealed)
    if wanted is None:
        query = query.where(column > after).order_by(column).limit(limit)
    else:
        query = query.where(column.in_(sorted(wanted)))
    return [Credential(row.credential_id, row.credential_sealed) for row in await tx.execute(query)]
