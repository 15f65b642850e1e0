"""Creating, changing and deleting endpoints."""

from dataclasses import dataclass, replace
from typing import Any

from towpath_server.core import ids, revision, uses
from towpath_server.core.access import Principal, PrincipalKind, Verb
from towpath_server.core.db import Tx
from towpath_server.core.errors import Finding, InUse, InvalidRequest, NameTaken
from towpath_server.domains.audit import service as audit
from towpath_server.domains.endpoints.errors import EndpointDeclared
from towpath_server.domains.endpoints.models import (
    Access,
    AccessDraft,
    Bound,
    Endpoint,
    EndpointDraft,
    Onward,
    Target,
    TargetDraft,
    Visibility,
)
from towpath_server.domains.endpoints.models.serving import (
    Balance,
    Retries,
    Serving,
    Tier,
    Timeouts,
)
from towpath_server.domains.endpoints.service import access, read, recovery, tiers
from towpath_server.domains.endpoints.service.targets import Resolver, price
from towpath_server.domains.endpoints.store import endpoints as store
from towpath_server.domains.endpoints.store import targets as target_store
from towpath_server.domains.prices import service as prices
from towpath_server.domains.projects import service as projects
from towpath_server.domains.projects.models import Project


@dataclass(frozen=True)
class EndpointChanges:
    """What may change; what is none stays."""

    targets: tuple[TargetDraft, ...] | None = None
    fallback: tuple[TargetDraft, ...] | None = None
    access: AccessDraft | None = None
    timeouts: Timeouts | None = None
    balance: Balance | None = None
    retries: Retries | None = None
    stream_recovery: str | None = None
    cache: tuple[int | None] | None = None
    """(TTL in milliseconds,); (none,) takes the cache away."""
    tier: tuple[Tier | None] | None = None
    """(tier,); (none,) takes the tiers away."""

    def serving(self, former: Serving) -> Serving:
        """Return how the endpoint serves with these changes."""
        whole = {
            name: given
            for name in ("timeouts", "balance", "retries", "stream_recovery")
            if (given := getattr(self, name)) is not None
        }
        found = replace(former, **whole)
        if self.cache is not None:
            found = replace(found, cache_ttl_ms=self.cache[0])
        return replace(found, tier=self.tier[0]) if self.tier is not None else found


async def create(tx: Tx, caller: Principal, draft: EndpointDraft) -> Endpoint:
    """
    Create an endpoint with its targets; its name is its project's in all environments.

    Raises:
        NotFound: There is no such project that the caller may see.
        Forbidden: The caller may not create endpoints there.
        NameTaken: The name is another project's, or exists in this environment.
        DialectUnsupported: A target speaks what the gateway does not.
        InvalidRequest: Something it names is not there; every finding is listed.
    """
    project = await _owner(tx, caller, draft.project)
    if await store.find(tx, draft.name, draft.environment):
        raise NameTaken("endpoint", draft.name, owner=draft.environment)
    blank = Endpoint(
        id=ids.new("end"),
        revision=1,
        created_at_ms=tx.now_ms,
        updated_at_ms=tx.now_ms,
        name=draft.name,
        environment=draft.environment,
        team_id=project.team_id if project else None,
        project_id=project.id if project else None,
        deployment_id=None,
        access=Access(Visibility.PROJECT),
        serving=draft.serving,
        project_path=project.path if project else None,
    )
    changes = EndpointChanges(draft.targets, draft.fallback, draft.access)
    endpoint, resolver = await _resolve(tx, caller, blank, changes)
    if not await store.reserve(tx, draft.name, endpoint.project_id):
        raise NameTaken(
            "endpoint",
            draft.name,
            owner="the organisation",
            fix="Choose another name; one belongs to one project in all environments.",
        )
    await store.insert(tx, endpoint)
    endpoint = await _insert_targets(tx, resolver, endpoint)
    await store.bind(tx, endpoint)
    await revision.bump(tx, "endpoint", endpoint.id)
    await note(tx, caller, endpoint, "created")
    return endpoint


async def update(
    tx: Tx,
    caller: Principal,
    ref: str,
    changes: EndpointChanges,
    *,
    environment: str | None = None,
    if_match: int | None,
) -> Endpoint:
    """
    Change targets, access or how it serves; each part that is given is replaced as a whole.

    A static target that stays as it is keeps its credential.

    Raises:
        NotFound: There is none that the caller may see.
        Forbidden: The caller may not change it.
        RevisionConflict: It is no longer at `if_match`.
        EndpointDeclared: A deployment declares it.
        InvalidRequest: Something it names is not there; every finding is listed.
    """
    former = await read.get(tx, caller, ref, verb=Verb.UPDATE, environment=environment)
    revision.match(if_match, former.revision)
    if former.deployment_id is not None:
        raise EndpointDeclared(former.name)
    endpoint, resolver = await _resolve(tx, caller, former, changes)
    await store.change(tx, former, endpoint)
    endpoint = await _insert_targets(tx, resolver, endpoint)
    await store.bind(tx, endpoint)
    kept = {bound.target.id for bound in endpoint.bound}
    await _drop_targets(tx, [target for target in _own(former) if target.id not in kept])
    await revision.bump(tx, "endpoint", endpoint.id)
    await note(tx, caller, endpoint, "updated")
    return replace(endpoint, revision=former.revision + 1, updated_at_ms=tx.now_ms)


async def delete(
    tx: Tx,
    caller: Principal,
    ref: str,
    *,
    environment: str | None = None,
    if_match: int | None,
) -> None:
    """
    Delete an endpoint with its static and provider targets.

    Raises:
        NotFound: There is none that the caller may see.
        Forbidden: The caller may not delete it.
        RevisionConflict: It is no longer at `if_match`.
        EndpointDeclared: A deployment declares it.
        InUse: Other endpoints fall back to it.
    """
    endpoint = await read.get(tx, caller, ref, verb=Verb.DELETE, environment=environment)
    revision.match(if_match, endpoint.revision)
    if endpoint.deployment_id is not None:
        raise EndpointDeclared(endpoint.name)
    users = await store.falling_back_to(tx, endpoint.id)
    if users:
        raise InUse("endpoint", endpoint.name, [f"endpoint {user}" for user in users])
    await prices.withdraw(tx, [target.id for target in _own(endpoint)])
    for target in _own(endpoint):
        await _bump_target(tx, target)
    await uses.release(tx, "endpoint", endpoint.id)
    await store.remove(tx, endpoint)
    await revision.bump(tx, "endpoint", endpoint.id)
    await note(tx, caller, endpoint, "deleted")


async def note(tx: Tx, caller: Principal, endpoint: Endpoint, what: str) -> None:
    """Append a change of an endpoint to the audit log."""
    changes: dict[str, Any] | None = None
    if what != "deleted":
        changes = {
            "name": endpoint.name,
            "environment": endpoint.environment,
            "targets": [bound.target.name for bound in endpoint.targets],
            "fallback": [
                f"endpoint {one.name}" if isinstance(one, Onward) else one.target.name
                for one in endpoint.fallback
            ],
            "visibility": endpoint.access.visibility,
            "callers": [*endpoint.access.callers],
            **endpoint.serving.document(),
        }
    await audit.append(
        tx,
        caller,
        action=f"endpoint.{what}",
        noun="endpoint",
        id=endpoint.id,
        team=endpoint.team_id,
        changes=changes,
    )


async def _owner(tx: Tx, caller: Principal, ref: str | None) -> Project | None:
    """Return the project an endpoint will belong to; none: the platform's own."""
    if ref is None and caller.project is not None:
        ref = caller.project
    if ref is not None:
        return await projects.resolve(tx, caller, ref, verb=Verb.CREATE, noun="endpoint")
    if caller.kind is PrincipalKind.USER and caller.platform_role is None:
        raise InvalidRequest(
            "The endpoint needs a project.",
            fix="Send `project` as `team/project`.",
            findings=[Finding("#/project", "It is missing.", "Write it as `team/project`.")],
        )
    caller.require(Verb.CREATE, "endpoint")
    return None


async def _resolve(
    tx: Tx, caller: Principal, former: Endpoint, changes: EndpointChanges
) -> tuple[Endpoint, Resolver]:
    resolver = Resolver(tx, caller, former)
    endpoint = former
    if changes.targets is not None:
        targets = await resolver.chain(changes.targets, "#/targets")
        if targets and not any(bound.weight for bound in targets):
            detail = "No target takes traffic: every weight is 0."
            resolver.findings.append(Finding("#/targets", detail, "Give one a weight above 0."))
        endpoint = replace(endpoint, targets=targets)
    if changes.fallback is not None:
        fallback = await resolver.fallback(changes.fallback, "#/fallback")
        endpoint = replace(endpoint, fallback=fallback)
    if changes.access is not None:
        granted, findings = await access.read(
            tx,
            changes.access,
            environment=former.environment,
            owned=former.project_id is not None,
            at="#/access",
        )
        resolver.findings += findings
        endpoint = replace(endpoint, access=granted)
    endpoint = replace(endpoint, serving=changes.serving(endpoint.serving))
    resolver.findings += tiers.findings(endpoint)
    if not resolver.findings:
        resolver.findings += await recovery.findings(tx, endpoint)
    if resolver.findings:
        first = resolver.findings[0]
        more = f" ({len(resolver.findings) - 1} more in `findings`)" * (len(resolver.findings) > 1)
        raise InvalidRequest(
            f"The endpoint is not valid at `{first.path}`: {first.message}{more}",
            fix=first.fix,
            findings=resolver.findings,
        )
    return endpoint, resolver


async def _insert_targets(tx: Tx, resolver: Resolver, endpoint: Endpoint) -> Endpoint:
    """Add what is new, with its prices; return the endpoint with the prices at its targets."""
    for target, sealed in resolver.fresh:
        await target_store.insert(tx, target, sealed)
        await _bump_target(tx, target)
    priced = await price(tx, resolver)
    for target_id in priced:
        await revision.bump(tx, "target", target_id)

    def with_prices(bound: Bound) -> Bound:
        found = priced.get(bound.target.id, bound.target.prices)
        return replace(bound, target=replace(bound.target, prices=found))

    return replace(
        endpoint,
        targets=tuple(with_prices(bound) for bound in endpoint.targets),
        fallback=tuple(
            with_prices(one) if isinstance(one, Bound) else one for one in endpoint.fallback
        ),
    )


async def _drop_targets(tx: Tx, gone: list[Target]) -> None:
    await prices.withdraw(tx, [target.id for target in gone])
    await target_store.remove(tx, [target.id for target in gone])
    for target in gone:
        await _bump_target(tx, target)


async def _bump_target(tx: Tx, target: Target) -> None:
    await revision.bump(tx, "target", target.id)
    if target.credential_id is not None:
        await revision.bump(tx, "credential", target.credential_id)


def _own(endpoint: Endpoint) -> list[Target]:
    bound = {b.target.id: b.target for b in endpoint.bound}
    return [target for target in bound.values() if target.endpoint_id == endpoint.id]
