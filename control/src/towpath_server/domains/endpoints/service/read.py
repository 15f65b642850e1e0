"""Finding endpoints, for those who may see them."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from towpath_server.core import suggest
from towpath_server.core.access import Principal, Verb
from towpath_server.core.db import Tx
from towpath_server.core.errors import Finding, InvalidRequest, NotFound
from towpath_server.core.paging import Slice, Window
from towpath_server.domains.endpoints.models import Allow, Bound, Endpoint, Target, TargetKind
from towpath_server.domains.endpoints.service import access
from towpath_server.domains.endpoints.store import endpoints as store
from towpath_server.domains.prices import service as prices
from towpath_server.domains.projects import service as projects
from towpath_server.domains.teams import service as teams


async def get(
    tx: Tx, caller: Principal, ref: str, *, verb: Verb = Verb.READ, environment: str | None = None
) -> Endpoint:
    """
    Return an endpoint by id or name; a key's own environment is looked at first.

    Raises:
        NotFound: There is none that the caller may see.
        Forbidden: The caller may see it, and may not `verb` it.
        InvalidRequest: The name exists in several environments, and none was said.
    """
    found = [
        endpoint
        for endpoint in await store.find(tx, ref, environment)
        if access.sees(endpoint, caller)
        or caller.may(Verb.READ, "endpoint", team=endpoint.team_id, project=endpoint.project_id)
    ]
    own = [endpoint for endpoint in found if endpoint.environment == caller.environment]
    found = own or found
    if not found:
        hint = suggest.did_you_mean(ref, await _visible_names(tx, caller))
        raise NotFound("endpoint", ref, fix=hint)
    if len(found) > 1:
        listed = ", ".join(f"`{endpoint.environment}`" for endpoint in found)
        raise InvalidRequest(
            f"`{ref}` exists in {listed}.",
            fix=f"Say which: `?environment={found[0].environment}`, or use its id.",
            findings=[Finding("?environment", f"It must be one of {listed}.")],
        )
    endpoint = found[0]
    if verb is not Verb.READ:
        caller.require(
            verb, "endpoint", team=endpoint.team_id, project=endpoint.project_id, ref=ref
        )
    return (await _named(tx, [endpoint]))[0]


async def list(  # noqa: A001
    tx: Tx,
    caller: Principal,
    window: Window,
    *,
    environment: str | None = None,
    project: str | None = None,
) -> Slice[Endpoint]:
    """
    List the endpoints that the caller may use; keys see what keys of their environment may call.

    Raises:
        NotFound: There is no such project that the caller may see.
    """
    owner = await projects.resolve(tx, caller, project) if project is not None else None
    found = await store.page(
        tx,
        (caller.reach("endpoint"), access.shared_with(caller)),
        environment=environment,
        project_id=owner.id if owner else None,
        caller_environment=caller.environment,
        window=window,
    )
    return Slice.cut(await _named(tx, found), window)


async def names(tx: Tx, wanted: Collection[str]) -> dict[str, tuple[str, str]]:
    """Return name and environment of endpoints by id, whoever asks."""
    return await store.names(tx, wanted) if wanted else {}


async def _visible_names(tx: Tx, caller: Principal) -> Sequence[str]:
    found = await store.page(
        tx,
        (caller.reach("endpoint"), access.shared_with(caller)),
        environment=None,
        project_id=None,
        caller_environment=caller.environment,
        window=Window(limit=1_000),
    )
    return [endpoint.name for endpoint in found]


async def _named(tx: Tx, found: Sequence[Endpoint]) -> Sequence[Endpoint]:
    """Add the words for projects and teams, and the prices of targets."""
    found = await _priced(tx, found)
    allowed = {(allow.kind, allow.id) for one in found for allow in one.access.allow}
    project_ids = {one.project_id for one in found if one.project_id}
    project_ids |= {ref for kind, ref in allowed if kind == "project"}
    paths = await projects.names(tx, project_ids)
    names = await teams.names(tx, {ref for kind, ref in allowed if kind == "team"})
    words = {**paths, **names}
    return [
        replace(
            one,
            project_path=paths.get(one.project_id or ""),
            access=replace(
                one.access,
                allow=tuple(
                    Allow(allow.kind, allow.id, words.get(allow.id, allow.id))
                    for allow in one.access.allow
                ),
            ),
        )
        for one in found
    ]


async def _priced(tx: Tx, found: Sequence[Endpoint]) -> Sequence[Endpoint]:
    targets = [bound.target for one in found for bound in one.bound]
    owned = await prices.of(tx, {owner_of_prices(target)[0] for target in targets})

    def with_prices(bound: Bound) -> Bound:
        known = owned.get(owner_of_prices(bound.target), ())
        return replace(bound, target=replace(bound.target, prices=tuple(known)))

    return [
        replace(
            one,
            targets=tuple(with_prices(bound) for bound in one.targets),
            fallback=tuple(
                with_prices(place) if isinstance(place, Bound) else place for place in one.fallback
            ),
        )
        for one in found
    ]


def owner_of_prices(target: Target) -> tuple[str, str]:
    """Return whose prices hold for a target: (owner, model), as `prices` names them."""
    if target.kind is TargetKind.PROVIDER and target.provider_id is not None:
        return target.provider_id, target.upstream_model or ""
    return target.id, ""
