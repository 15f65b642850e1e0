"""Creating, changing and deleting endpoints."""

from dataclasses import dataclass, replace
from typing import Any

from towpath_server.core import ids, revision, uses
from towpath_server.core.access import Principal, PrincipalKind, Verb
from towpath_server.core.db import Tx
from towpath_server.core.errors import Finding, InvalidRequest, NameTaken
from towpath_server.domains.audit import service as audit
from towpath_server.domains.endpoints.errors import EndpointDeclared
from towpath_server.domains.endpoints.models import (
    Access,
    AccessDraft,
    Endpoint,
    EndpointDraft,
    Target,
    TargetDraft,
    Timeouts,
    Visibility,
)
from towpath_server.domains.endpoints.service import access, read
from towpath_server.domains.endpoints.service.targets import Resolver
from towpath_server.domains.endpoints.store import endpoints as store
from towpath_server.domains.endpoints.store import targets as target_store
from towpath_server.domains.projects import service as projects
from towpath_server.domains.projects.models import Project


@dataclass(frozen=True)
class EndpointChanges:
    """What may change; what is none stays."""

    targets: tuple[TargetDraft, ...] | None = None
    fallback: tuple[TargetDraft, ...] | None = None
    access: AccessDraft | None = None
    timeouts: Timeouts | None = None


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
        timeouts=draft.timeouts,
        project_path=project.path if project else None,
    )
    changes = EndpointChanges(draft.targets, draft.fallback, draft.access, draft.timeouts)
    endpoint, resolver = await _resolve(tx, caller, blank, changes)
    if not await store.reserve(tx, draft.name, endpoint.project_id):
        raise NameTaken(
            "endpoint",
            draft.name,
            owner="the organisation",
            fix="Choose another name; one belongs to one project in all environments.",
        )
    await store.insert(tx, endpoint)
    await _insert_targets(tx, resolver)
    await store.bind(tx, endpoint)
    await revision.bump(tx, "endpoint", endpoint.id)
    await note(tx, caller, endpoint, "created")
    return endpoint


async def update(
    tx: Tx, caller: Principal, ref: str, changes: EndpointChanges, *, if_match: int | None
) -> Endpoint:
    """
    Change targets, fallbacks, access or timeouts; each that is given is replaced as a whole.

    A static target that stays as it is keeps its credential.

    Raises:
        NotFound: There is none that the caller may see.
        Forbidden: The caller may not change it.
        RevisionConflict: It is no longer at `if_match`.
        EndpointDeclared: A deployment declares it.
        InvalidRequest: Something it names is not there; every finding is listed.
    """
    former = await read.get(tx, caller, ref, verb=Verb.UPDATE)
    revision.match(if_match, former.revision)
    if former.deployment_id is not None:
        raise EndpointDeclared(former.name)
    endpoint, resolver = await _resolve(tx, caller, former, changes)
    await store.change(tx, former, endpoint)
    await _insert_targets(tx, resolver)
    await store.bind(tx, endpoint)
    kept = {bound.target.id for bound in (*endpoint.targets, *endpoint.fallback)}
    await _drop_targets(tx, [target for target in _own(former) if target.id not in kept])
    await revision.bump(tx, "endpoint", endpoint.id)
    await note(tx, caller, endpoint, "updated")
    return replace(endpoint, revision=former.revision + 1, updated_at_ms=tx.now_ms)


async def delete(tx: Tx, caller: Principal, ref: str, *, if_match: int | None) -> None:
    """
    Delete an endpoint with its static and provider targets.

    Raises:
        NotFound: There is none that the caller may see.
        Forbidden: The caller may not delete it.
        RevisionConflict: It is no longer at `if_match`.
        EndpointDeclared: A deployment declares it.
    """
    endpoint = await read.get(tx, caller, ref, verb=Verb.DELETE)
    revision.match(if_match, endpoint.revision)
    if endpoint.deployment_id is not None:
        raise EndpointDeclared(endpoint.name)
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
            "fallback": [bound.target.name for bound in endpoint.fallback],
            "visibility": endpoint.access.visibility,
            "callers": [*endpoint.access.callers],
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
        fallback = await resolver.chain(changes.fallback, "#/fallback")
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
    if changes.timeouts is not None:
        endpoint = replace(endpoint, timeouts=changes.timeouts)
    if resolver.findings:
        first = resolver.findings[0]
        more = f" ({len(resolver.findings) - 1} more in `errors`)" * (len(resolver.findings) > 1)
        raise InvalidRequest(
            f"The endpoint is not valid at `{first.pointer}`: {first.detail}{more}",
            fix=first.fix,
            findings=resolver.findings,
        )
    return endpoint, resolver


async def _insert_targets(tx: Tx, resolver: Resolver) -> None:
    for target, sealed in resolver.fresh:
        await target_store.insert(tx, target, sealed)
        await _bump_target(tx, target)


async def _drop_targets(tx: Tx, gone: list[Target]) -> None:
    await target_store.remove(tx, [target.id for target in gone])
    for target in gone:
        await _bump_target(tx, target)


async def _bump_target(tx: Tx, target: Target) -> None:
    await revision.bump(tx, "target", target.id)
    if target.credential_id is not None:
        await revision.bump(tx, "credential", target.credential_id)
    if target.price is not None:
        await revision.bump(tx, "price", target.price.id)


def _own(endpoint: Endpoint) -> list[Target]:
    bound = {b.target.id: b.target for b in (*endpoint.targets, *endpoint.fallback)}
    return [target for target in bound.values() if target.endpoint_id == endpoint.id]
