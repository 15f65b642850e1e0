"""Queries of endpoints."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import and_, delete, or_, select

from towpath_server.core import ids, queries
from towpath_server.core.access import Reach
from towpath_server.core.db import Tx
from towpath_server.core.paging import Window
from towpath_server.domains.endpoints.models import (
    Access,
    Allow,
    Bound,
    Endpoint,
    Onward,
    Visibility,
)
from towpath_server.domains.endpoints.models.serving import Serving
from towpath_server.domains.endpoints.store import targets as target_store
from towpath_server.domains.endpoints.tables import (
    endpoint_allow,
    endpoint_names,
    endpoint_targets,
    endpoints,
    targets,
)

Shared = Collection[tuple[str, str]]
"""(`team` or `project`, id) of everything the caller may act for."""


async def reserve(tx: Tx, name: str, project_id: str | None) -> bool:
    """Take a name for a project; tell whether it belongs to the project now."""
    await tx.execute(
        tx.insert(endpoint_names).values(name=name, project_id=project_id).on_conflict_do_nothing()
    )
    query = select(endpoint_names.c.project_id).where(endpoint_names.c.name == name)
    return (await tx.execute(query)).scalar_one() == project_id


async def owner_of(tx: Tx, name: str) -> tuple[bool, str | None]:
    """Tell whether a name is taken, and by which project."""
    query = select(endpoint_names.c.project_id).where(endpoint_names.c.name == name)
    row = (await tx.execute(query)).first()
    return (row is not None, row.project_id if row else None)


async def insert(tx: Tx, endpoint: Endpoint) -> None:
    """Add an endpoint, without its targets."""
    values = {
        name: getattr(endpoint, name)
        for name in (
            "id",
            "revision",
            "created_at_ms",
            "updated_at_ms",
            "name",
            "environment",
            "team_id",
            "project_id",
            "deployment_id",
        )
    }
    await tx.execute(endpoints.insert().values(**values, **_policy(endpoint)))
    await _insert_allow(tx, endpoint)


async def change(tx: Tx, former: Endpoint, endpoint: Endpoint) -> None:
    """Write access and how it serves anew, and count the revision up."""
    await queries.change(tx, endpoints, former.id, former.revision, _policy(endpoint))
    await tx.execute(delete(endpoint_allow).where(endpoint_allow.c.endpoint_id == former.id))
    await _insert_allow(tx, endpoint)


async def bind(tx: Tx, endpoint: Endpoint) -> None:
    """Let an endpoint have exactly its targets and fallbacks."""
    await tx.execute(delete(endpoint_targets).where(endpoint_targets.c.endpoint_id == endpoint.id))
    rows = [
        {
            "endpoint_id": endpoint.id,
            "is_fallback": is_fallback,
            "position": position,
            "target_id": place.target.id if isinstance(place, Bound) else None,
            "onward_id": place.id if isinstance(place, Onward) else None,
            "weight": place.weight if isinstance(place, Bound) else 0,
        }
        for is_fallback, chain in ((False, endpoint.targets), (True, endpoint.fallback))
        for position, place in enumerate(chain)
    ]
    if rows:
        await tx.execute(endpoint_targets.insert(), rows)


async def remove(tx: Tx, endpoint: Endpoint) -> None:
    """Remove an endpoint with its own targets; a name that nobody uses any more is free again."""
    await tx.execute(delete(endpoint_targets).where(endpoint_targets.c.endpoint_id == endpoint.id))
    await queries.remove(tx, endpoints, endpoint.id, endpoint.revision)
    others = select(endpoints.c.id).where(endpoints.c.name == endpoint.name).limit(1)
    if (await tx.execute(others)).first() is None:
        await tx.execute(delete(endpoint_names).where(endpoint_names.c.name == endpoint.name))


async def find(tx: Tx, ref: str, environment: str | None = None) -> list[Endpoint]:
    """Find endpoints by id, or by name in one or all environments, whoever asks."""
    if ids.is_id(ref, "end"):
        return await read(tx, select(endpoints).where(endpoints.c.id == ref))
    query = select(endpoints).where(endpoints.c.name == ref)
    if environment is not None:
        query = query.where(endpoints.c.environment == environment)
    return await read(tx, query.order_by(endpoints.c.environment))


async def page(
    tx: Tx,
    visible: tuple[Reach, Shared],
    *,
    environment: str | None,
    project_id: str | None,
    caller_environment: str | None,
    window: Window,
) -> list[Endpoint]:
    """
    List one endpoint more than the window has.

    Args:
        visible: What the caller may list as their own, and whom they act for.
        caller_environment: Only what keys of this environment may call.
    """
    reach, shared = visible
    teams = sorted(ref for kind, ref in shared if kind == "team")
    allowed = select(endpoint_allow.c.endpoint_id).where(
        or_(
            *(
                and_(endpoint_allow.c.kind == kind, endpoint_allow.c.allowed_id == ref)
                for kind, ref in [*shared, ("", "")]
            )
        )
    )
    query = select(endpoints).where(
        or_(
            queries.within(reach, team=endpoints.c.team_id, project=endpoints.c.project_id),
            endpoints.c.visibility == Visibility.ORGANIZATION,
            and_(
                endpoints.c.visibility == Visibility.TEAM,
                endpoints.c.team_id.in_(teams),
            ),
            endpoints.c.id.in_(allowed),
        )
    )
    if environment is not None:
        query = query.where(endpoints.c.environment == environment)
    if project_id is not None:
        query = query.where(endpoints.c.project_id == project_id)
    if caller_environment is not None:
        query = query.where(endpoints.c.callers.contains(f",{caller_environment},"))
    return await read(tx, queries.windowed(query, window, endpoints.c.id))


async def rows(
    tx: Tx, *, wanted: Collection[str] | None, after: str = "", limit: int = 5_000
) -> list[Endpoint]:
    """List endpoints by id, or all after one, in order of id."""
    query = select(endpoints)
    if wanted is None:
        query = query.where(endpoints.c.id > after).order_by(endpoints.c.id).limit(limit)
    else:
        query = query.where(endpoints.c.id.in_(sorted(wanted)))
    return await read(tx, query)


async def names(tx: Tx, wanted: Collection[str]) -> dict[str, tuple[str, str]]:
    """Return name and environment of endpoints by id."""
    query = select(endpoints.c.id, endpoints.c.name, endpoints.c.environment)
    found = await tx.execute(query.where(endpoints.c.id.in_(sorted(wanted))))
    return {row.id: (row.name, row.environment) for row in found}


async def names_in(tx: Tx, environment: str | None, limit: int = 1_000) -> list[str]:
    """Return names of endpoints, for suggestions."""
    query = select(endpoints.c.name).limit(limit)
    if environment is not None:
        query = query.where(endpoints.c.environment == environment)
    return list((await tx.execute(query)).scalars())


async def of_project(tx: Tx, project_id: str) -> list[str]:
    """Return the names of a project's endpoints."""
    query = select(endpoints.c.name).where(endpoints.c.project_id == project_id).limit(10)
    return list((await tx.execute(query)).scalars())


async def using_provider(tx: Tx, provider_id: str) -> list[str]:
    """Return the names of the endpoints with a target at a provider."""
    return await _using(tx, await target_store.ids_of_provider(tx, provider_id))


async def using_target(tx: Tx, target_id: str, *, but: str | None) -> list[str]:
    """Return the names of the endpoints, but one, that have a target."""
    return await _using(tx, [target_id], but=but)


async def falling_back_to(tx: Tx, endpoint_id: str) -> list[str]:
    """Return the names of the endpoints that have another one in their fallback chain."""
    query = (
        select(endpoints.c.name)
        .join(endpoint_targets, endpoint_targets.c.endpoint_id == endpoints.c.id)
        .where(endpoint_targets.c.onward_id == endpoint_id)
        .distinct()
        .limit(10)
    )
    return list((await tx.execute(query)).scalars())


async def _using(tx: Tx, target_ids: Collection[str], *, but: str | None = None) -> list[str]:
    query = (
        select(endpoints.c.name)
        .join(endpoint_targets, endpoint_targets.c.endpoint_id == endpoints.c.id)
        .where(endpoint_targets.c.target_id.in_(sorted(target_ids)))
        .distinct()
        .limit(10)
    )
    if but is not None:
        query = query.where(endpoints.c.id != but)
    return list((await tx.execute(query)).scalars())


async def read(tx: Tx, query: Any) -> list[Endpoint]:
    """Run a query on endpoints, and read what belongs to them."""
    found = list(await tx.execute(query))
    if not found:
        return []
    wanted = [row.id for row in found]
    allow: dict[str, list[Allow]] = {row.id: [] for row in found}
    for row in await tx.execute(
        select(endpoint_allow)
        .where(endpoint_allow.c.endpoint_id.in_(wanted))
        .order_by(endpoint_allow.c.kind, endpoint_allow.c.allowed_id)
    ):
        allow[row.endpoint_id].append(Allow(row.kind, row.allowed_id))
    places = list(
        await tx.execute(
            select(endpoint_targets)
            .where(endpoint_targets.c.endpoint_id.in_(wanted))
            .order_by(endpoint_targets.c.position)
        )
    )
    known = await target_store.by_ids(tx, {row.target_id for row in places if row.target_id})
    onward = await _onward(tx, {row.onward_id for row in places if row.onward_id})
    targets_of: dict[str, list[Bound]] = {}
    fallback_of: dict[str, list[Bound | Onward]] = {}
    for row in places:
        if row.onward_id:
            fallback_of.setdefault(row.endpoint_id, []).append(onward[row.onward_id])
            continue
        bound = Bound(known[row.target_id], row.weight)
        if row.is_fallback:
            fallback_of.setdefault(row.endpoint_id, []).append(bound)
        else:
            targets_of.setdefault(row.endpoint_id, []).append(bound)
    return [
        Endpoint(
            id=row.id,
            revision=row.revision,
            created_at_ms=row.created_at_ms,
            updated_at_ms=row.updated_at_ms,
            name=row.name,
            environment=row.environment,
            team_id=row.team_id,
            project_id=row.project_id,
            deployment_id=row.deployment_id,
            access=Access(
                Visibility(row.visibility),
                tuple(allow[row.id]),
                tuple(row.callers.strip(",").split(",")),
            ),
            serving=Serving.of(row.serving),
            targets=tuple(targets_of.get(row.id, ())),
            fallback=tuple(fallback_of.get(row.id, ())),
        )
        for row in found
    ]


def _policy(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "visibility": endpoint.access.visibility,
        "callers": f",{','.join(endpoint.access.callers)},",
        "serving": endpoint.serving.document(),
    }


async def _onward(tx: Tx, wanted: Collection[str]) -> dict[str, Onward]:
    """Return what fallback chains go on with; each tells whether its own targets can answer."""
    if not wanted:
        return {}
    ready = (
        select(endpoint_targets.c.endpoint_id)
        .join(targets, targets.c.id == endpoint_targets.c.target_id)
        .where(endpoint_targets.c.endpoint_id.in_(sorted(wanted)), targets.c.ready)
    )
    answering = set((await tx.execute(ready)).scalars())
    rows = await tx.execute(
        select(endpoints.c.id, endpoints.c.name).where(endpoints.c.id.in_(sorted(wanted)))
    )
    return {row.id: Onward(row.id, row.name, ready=row.id in answering) for row in rows}


async def _insert_allow(tx: Tx, endpoint: Endpoint) -> None:
    rows = [
        {"endpoint_id": endpoint.id, "kind": allow.kind, "allowed_id": allow.id}
        for allow in endpoint.access.allow
    ]
    if rows:
        await tx.execute(endpoint_allow.insert(), rows)
