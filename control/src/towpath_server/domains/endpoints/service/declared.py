"""Endpoints that deployments declare, and what deployments tell of themselves as targets."""

from dataclasses import replace

from towpath_server.core import ids, revision, uses
from towpath_server.core.access import Principal
from towpath_server.core.db import Tx
from towpath_server.core.errors import Finding, InUse
from towpath_server.domains.endpoints.models import (
    Bound,
    Declaration,
    Endpoint,
    Target,
    TargetKind,
)
from towpath_server.domains.endpoints.models.serving import Serving
from towpath_server.domains.endpoints.service import access
from towpath_server.domains.endpoints.service.change import note
from towpath_server.domains.endpoints.store import endpoints as store
from towpath_server.domains.endpoints.store import targets as target_store

_WEIGHT = 100


async def check(tx: Tx, declaration: Declaration, *, at: str) -> list[Finding]:
    """List what keeps a deployment from declaring its endpoint; nothing is changed."""
    _, findings = await access.read(
        tx, declaration.access, environment=declaration.environment, owned=True, at=at
    )
    taken, owner = await store.owner_of(tx, declaration.name)
    if taken and owner != declaration.project_id:
        findings.append(
            Finding(
                "#/metadata/name",
                f"The endpoint name `{declaration.name}` belongs to another project.",
                "Choose another name; names are reserved across all environments.",
                reason="NameTaken",
            )
        )
        return findings
    present = await store.find(tx, declaration.name, declaration.environment)
    if present and present[0].deployment_id != declaration.deployment_id:
        findings.append(
            Finding(
                "#/metadata/name",
                f"`{declaration.name}` is an endpoint of its own in {declaration.environment}.",
                "Choose another name for the deployment, and add it to that endpoint as a target.",
                reason="NameTaken",
            )
        )
    return findings


async def declare(tx: Tx, caller: Principal, declaration: Declaration) -> Endpoint:
    """Create or change the endpoint that a deployment declares; `check` has passed before."""
    granted, _ = await access.read(
        tx, declaration.access, environment=declaration.environment, owned=True, at=""
    )
    present = await store.find(tx, declaration.name, declaration.environment)
    if present:
        former = present[0]
        await _show(tx, declaration)
        serving = replace(former.serving, timeouts=declaration.timeouts)
        endpoint = replace(former, access=granted, serving=serving)
        if endpoint != former:
            await store.change(tx, former, endpoint)
            await revision.bump(tx, "endpoint", endpoint.id)
            await note(tx, caller, endpoint, "updated")
        return endpoint
    await store.reserve(tx, declaration.name, declaration.project_id)
    target = Target(
        id=declaration.deployment_id,
        kind=TargetKind.DEPLOYMENT,
        name=declaration.name,
        environment=declaration.environment,
        team_id=declaration.team_id,
        project_id=declaration.project_id,
        ready=False,
        note="It is being deployed.",
    )
    endpoint = Endpoint(
        id=ids.new("end"),
        revision=1,
        created_at_ms=tx.now_ms,
        updated_at_ms=tx.now_ms,
        name=declaration.name,
        environment=declaration.environment,
        team_id=declaration.team_id,
        project_id=declaration.project_id,
        deployment_id=declaration.deployment_id,
        access=granted,
        serving=Serving(timeouts=declaration.timeouts),
        targets=(Bound(target, _WEIGHT),),
    )
    await target_store.insert(tx, target)
    await _show(tx, declaration)
    await store.insert(tx, endpoint)
    await store.bind(tx, endpoint)
    await revision.bump(tx, "endpoint", endpoint.id)
    await revision.bump(tx, "target", target.id)
    await note(tx, caller, endpoint, "created")
    return endpoint


async def observe(tx: Tx, deployment_id: str, *, ready: bool, note: str | None) -> None:
    """Note whether a deployment can answer; who asks for endpoints is told."""
    await target_store.observe(tx, deployment_id, ready=ready, note=note)


async def ensure_withdrawable(tx: Tx, deployment_id: str, name: str, environment: str) -> None:
    """
    Refuse while other endpoints have a deployment as a target, or fall back to its endpoint.

    Raises:
        InUse: Some do; the error names them.
    """
    own = await store.find(tx, name, environment)
    users = await store.using_target(tx, deployment_id, but=own[0].id if own else None)
    users += [user for one in own for user in await store.falling_back_to(tx, one.id)]
    if users:
        raise InUse("deployment", name, [f"endpoint {user}" for user in users])


async def withdraw(
    tx: Tx, caller: Principal, deployment_id: str, name: str, environment: str
) -> None:
    """
    Remove the endpoint that a deployment declared, and the deployment as a target.

    Raises:
        InUse: Other endpoints have it as a target.
    """
    await ensure_withdrawable(tx, deployment_id, name, environment)
    for endpoint in await store.find(tx, name, environment):
        if endpoint.deployment_id == deployment_id:
            await uses.release(tx, "endpoint", endpoint.id)
            await store.remove(tx, endpoint)
            await revision.bump(tx, "endpoint", endpoint.id)
            await note(tx, caller, endpoint, "deleted")
    await target_store.remove(tx, [deployment_id])
    await revision.bump(tx, "target", deployment_id)


async def _show(tx: Tx, declaration: Declaration) -> None:
    if declaration.shown is not None:
        await target_store.show(tx, declaration.deployment_id, declaration.shown)


async def of_deployment(tx: Tx, name: str, environment: str) -> Endpoint | None:
    """Return the endpoint of a deployment's own name."""
    found = await store.find(tx, name, environment)
    return found[0] if found else None
