"""Queries of targets. Prices are those of the noun `prices`; the service adds them."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import delete, select, update

from towpath_server.core.db import Tx
from towpath_server.core.upstream import Handling
from towpath_server.domains.endpoints.models import Shown, Target, TargetKind
from towpath_server.domains.endpoints.tables import targets
from towpath_server.domains.providers.models import Credential

_PLAIN = (
    "id",
    "kind",
    "name",
    "environment",
    "team_id",
    "project_id",
    "endpoint_id",
    "provider_id",
    "dialect",
    "url",
    "upstream_model",
    "signature",
    "region",
    "max_data_class",
    "credential_id",
    "header",
    "context_length",
    "ready",
    "note",
)
_OWNED = (TargetKind.STATIC, TargetKind.PROVIDER)


async def insert(tx: Tx, target: Target, sealed: str | None = None) -> None:
    """Add a target."""
    values = {
        **{name: getattr(target, name) for name in _PLAIN},
        "operations": [*target.operations],
        "handling": target.handling.document(),
        "credential_sealed": sealed,
    }
    await tx.execute(targets.insert().values(**values))


async def remove(tx: Tx, wanted: Collection[str]) -> None:
    """Remove targets."""
    await tx.execute(delete(targets).where(targets.c.id.in_(sorted(wanted))))


async def by_ids(tx: Tx, wanted: Collection[str]) -> dict[str, Target]:
    """Return targets by id."""
    if not wanted:
        return {}
    rows = await tx.execute(select(targets).where(targets.c.id.in_(sorted(wanted))))
    return {row.id: _target(row) for row in rows}


async def deployments(tx: Tx, environment: str, team_id: str | None) -> list[Target]:
    """List the deployments of an environment that endpoints of a team (none: all) may have."""
    query = select(targets).where(
        targets.c.kind == TargetKind.DEPLOYMENT, targets.c.environment == environment
    )
    if team_id is not None:
        query = query.where(targets.c.team_id == team_id)
    return [_target(row) for row in await tx.execute(query)]


async def ids_of_provider(tx: Tx, provider_id: str) -> list[str]:
    """Return the ids of the targets at a provider."""
    query = select(targets.c.id).where(targets.c.provider_id == provider_id)
    return list((await tx.execute(query)).scalars())


async def owned(tx: Tx, *, wanted: Collection[str] | None, after: str, limit: int) -> list[Target]:
    """List static and provider targets by id, or all after one, in order of id."""
    query = select(targets).where(targets.c.kind.in_(_OWNED))
    rows = await tx.execute(_keyset(query, targets.c.id, wanted, after, limit))
    return [_target(row) for row in rows]


async def show(tx: Tx, target_id: str, shown: Shown) -> None:
    """Write what a deployment tells of itself."""
    await tx.execute(
        update(targets)
        .where(targets.c.id == target_id)
        .values(
            dialect=shown.dialect,
            upstream_model=shown.model,
            operations=[*shown.operations],
            max_data_class=shown.max_data_class,
            context_length=shown.context_length,
            handling=shown.handling.document(),
        )
    )


async def observe(tx: Tx, target_id: str, *, ready: bool, note: str | None) -> None:
    """Note whether a target can answer."""
    await tx.execute(
        update(targets).where(targets.c.id == target_id).values(ready=ready, note=note)
    )


async def credentials(
    tx: Tx, *, wanted: Collection[str] | None, after: str, limit: int
) -> list[Credential]:
    """List sealed credentials of static targets by id, or all after one, in order of id."""
    column = targets.c.credential_id
    query = select(column, targets.c.credential_sealed, targets.c.header)
    query = query.where(column.is_not(None))
    rows = await tx.execute(_keyset(query, column, wanted, after, limit))
    return [Credential(row.credential_id, row.credential_sealed, row.header) for row in rows]


def _keyset(query: Any, column: Any, wanted: Collection[str] | None, after: str, limit: int) -> Any:
    if wanted is not None:
        return query.where(column.in_(sorted(wanted)))
    return query.where(column > after).order_by(column).limit(limit)


def _target(row: Any) -> Target:
    values = {name: getattr(row, name) for name in _PLAIN}
    values |= {
        "kind": TargetKind(row.kind),
        "operations": tuple(row.operations),
        "handling": Handling.of(row.handling),
    }
    return Target(**values)
