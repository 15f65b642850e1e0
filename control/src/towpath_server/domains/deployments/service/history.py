"""Writing down what took traffic when, and what became of deployments; and answering from it."""

from collections import Counter
from dataclasses import replace
from typing import Any

from towpath_server.core import ids
from towpath_server.core.access import Principal, PrincipalKind, Role
from towpath_server.core.db import Tx
from towpath_server.core.paging import Slice, Window
from towpath_server.domains.deployments.models import Deployment, Phase, Revision, Status, View
from towpath_server.domains.deployments.models.history import (
    Exposure,
    Hand,
    Origin,
    Record,
    SelfService,
)
from towpath_server.domains.deployments.store import history as store
from towpath_server.domains.models import service as models
from towpath_server.domains.projects import service as projects
from towpath_server.domains.teams import service as teams


async def began(tx: Tx, deployment: Deployment, revision: Revision) -> None:
    """Note that a revision takes the traffic from now on; the former one does so no more."""
    present = await store.current(tx, deployment.id)
    if present is not None and present.number == revision.number:
        return
    await store.end(tx, deployment.id, tx.now_ms)
    workload = revision.workload
    await store.begin(
        tx,
        Exposure(
            id=ids.new("exp"),
            deployment_id=deployment.id,
            name=deployment.name,
            environment=deployment.environment,
            team_id=deployment.team_id,
            project_id=deployment.project_id,
            number=revision.number,
            model=workload.model,
            version=workload.version,
            digest=workload.model_digest,
            runtime=f"{workload.runtime} {workload.runtime_version}",
            from_ms=tx.now_ms,
            until_ms=None,
            origin=revision.origin,
        ),
    )


async def ended(tx: Tx, deployment_id: str) -> None:
    """Note that a deployment takes no traffic any more, and that it is on its way out."""
    await store.end(tx, deployment_id, tx.now_ms)
    await store.note(tx, deployment_id, {"ended_at_ms": tx.now_ms}, early=False)


async def declared(
    tx: Tx, caller: Principal, deployment: Deployment, origin: Origin, *, fresh: bool
) -> None:
    """
    Note that a deployment, or its next revision, was declared, and whose hand it took.

    What the platform makes for itself at its first start is nobody's deployment.
    """
    if caller.kind is PrincipalKind.SYSTEM:
        return
    if fresh:
        await store.open_record(
            tx,
            Record(
                deployment_id=deployment.id,
                name=deployment.name,
                environment=deployment.environment,
                team_id=deployment.team_id,
                project_id=deployment.project_id,
                created_at_ms=tx.now_ms,
            ),
        )
    if caller.platform_role is Role.PLATFORM:
        hand = Hand.APPROVED if origin.approval is not None else Hand.DEPLOYED
        await store.note(tx, deployment.id, {"hand": hand}, early=True)


async def observed(tx: Tx, view: View, values: dict[str, Any]) -> None:
    """Note from phase and conditions whether a deployment was ready, or why it is not yet."""
    deployment = view.deployment
    if deployment.first_ready_at_ms is not None:
        return
    if values["phase"] is Phase.READY:
        await store.note(tx, deployment.id, {"first_ready_at_ms": tx.now_ms}, early=True)
        return
    bad = next((one for one in values["conditions"] if one.status is Status.FALSE), None)
    if bad is not None:
        trouble = f"{bad.type}: {bad.reason}"
        await store.note(tx, deployment.id, {"trouble": trouble}, early=True)


async def served(
    tx: Tx,
    caller: Principal,
    model: str,
    window: Window,
    *,
    environment: str | None,
    at_ms: int | None,
) -> Slice[Exposure]:
    """
    List which versions of a model took traffic, the latest first, or those that did at a time.

    Raises:
        NotFound: There is no such model that the caller may see.
    """
    found = await models.get(tx, caller, model)
    rows = await store.page(
        tx,
        caller.reach("deployment"),
        found.name,
        window,
        environment=environment,
        at_ms=at_ms,
    )
    paths = await projects.names(tx, {one.project_id for one in rows})
    named = [replace(one, project_path=paths.get(one.project_id, "")) for one in rows]
    return Slice.cut(named, window)


async def self_service(
    tx: Tx, caller: Principal, *, since_ms: int, until_ms: int, team: str | None
) -> SelfService:
    """
    Count the deployments made in a stretch of time that reached Ready by their teams alone.

    Raises:
        NotFound: There is no such team that the caller may see.
        Forbidden: The caller may see nobody's.
    """
    reach = caller.reach("adoption")
    team_id = (await teams.get(tx, caller, team)).id if team is not None else None
    found = await store.records(tx, reach, since_ms=since_ms, until_ms=until_ms, team_id=team_id)
    others = Counter(record.reason for record in found if not record.self_service)
    return SelfService(
        since_ms=since_ms,
        until_ms=until_ms,
        all=len(found),
        reached=len(found) - others.total(),
        reasons=dict(others.most_common()),
    )
