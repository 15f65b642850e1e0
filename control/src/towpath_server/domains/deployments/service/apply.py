"""Applying a manifest, and taking a deployment away."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from towpath_server.adapters.facilities import Facilities
from towpath_server.adapters.objectstore.store import list_digest
from towpath_server.core import holds, ids, revision, uses
from towpath_server.core.access import SYSTEM, Principal, Verb
from towpath_server.core.db import Tx
from towpath_server.core.upstream import Handling
from towpath_server.domains.aliases import service as aliases
from towpath_server.domains.approvals import service as approvals
from towpath_server.domains.audit import service as audit
from towpath_server.domains.deployments.models import (
    Checked,
    Condition,
    Deployment,
    Draft,
    Phase,
    Revision,
    Status,
    Step,
)
from towpath_server.domains.deployments.models.history import How, Origin
from towpath_server.domains.deployments.service import (
    expiry,
    history,
    log,
    observe,
    read,
    trials,
)
from towpath_server.domains.deployments.service.check import check as _check
from towpath_server.domains.deployments.service.rollouts import moves
from towpath_server.domains.deployments.store import deployments as store
from towpath_server.domains.endpoints import service as endpoints
from towpath_server.domains.endpoints.models import Declaration, Shown
from towpath_server.domains.models import service as models
from towpath_server.domains.prices import service as prices

DRAIN_MS = (
    2_000  # gateways stop choosing a replica within milliseconds; one that polls anew, within this
)


async def check(
    tx: Tx,
    caller: Principal,
    draft: Draft,
    *,
    environment: str,
    facilities: Facilities,
    origin: Origin | None = None,
) -> Checked:
    """
    Say what a manifest would come to; nothing is changed.

    Args:
        origin: How it would come about, where it is not the caller's own manifest.

    Raises:
        NotFound: There is no such project that the caller may see.
        Forbidden: The caller may not deploy there.
        BeingDeleted: A deployment of this name is on its way out.
        ManifestInvalid: Something else is wrong; every finding is listed.
    """
    checked, _ = await _check(
        tx,
        caller,
        draft,
        environment=environment,
        facilities=facilities,
        origin=origin,
        fetch=False,
    )
    return checked


async def apply(
    tx: Tx,
    caller: Principal,
    draft: Draft,
    *,
    environment: str,
    facilities: Facilities,
    if_match: int | None = None,
    origin: Origin | None = None,
) -> Deployment:
    """
    Declare a deployment, or its next revision; model servers follow by reconciliation.

    Args:
        origin: How it came about, where it is not the caller's own manifest.

    Raises:
        NotFound: There is no such project that the caller may see.
        Forbidden: The caller may not deploy there.
        BeingDeleted: A deployment of this name is on its way out.
        RevisionConflict: It is no longer at `if_match`.
        ManifestInvalid: Something else is wrong; every finding is listed.
        SourceFetching: The model comes from outside, and is on its way.
        Deferred: It is to be fetched first.
    """
    checked, present = await _check(
        tx, caller, draft, environment=environment, facilities=facilities, origin=origin
    )
    origin = origin or Origin(by_id=caller.id, by=caller.name)
    if present is not None:
        revision.match(if_match, present.revision)
    deployment_id = present.id if present else ids.new("dep")
    endpoint = await endpoints.declare(
        tx,
        caller,
        Declaration(
            deployment_id=deployment_id,
            name=checked.name,
            environment=environment,
            team_id=checked.team_id,
            project_id=checked.project_id,
            access=checked.access,
            timeouts=checked.timeouts,
            shown=Shown(
                dialect=checked.serving.dialect,
                model=f"models:/{checked.workload.model}/{checked.workload.version}",
                operations=checked.serving.operations,
                max_data_class=checked.serving.max_data_class,
                context_length=checked.serving.context_length,
                handling=Handling.of(checked.serving.handling),
            ),
        ),
    )
    expires = expiry.expires_at(tx, caller, environment, facilities)
    if present is None:
        deployment = _fresh(tx, checked, deployment_id, endpoint.id)
        deployment = replace(deployment, expires_at_ms=expires)
        await store.insert(tx, deployment)
    else:
        await store.advance(tx, present)
        deployment = replace(present, revision=present.revision + 1, updated_at_ms=tx.now_ms)
        started: dict[str, Any] = {
            "conditions": _conditions(tx, checked),
            "phase": Phase.PROGRESSING,
        }
        await store.observe(tx, deployment.id, {**started, **expiry.renewal(expires)})
        deployment = replace(deployment, **started)
        await trials.withdraw_trials(tx, deployment.id)
        await moves.declare(tx, deployment, checked.rollout)
    await log.begun(tx, deployment)
    await _insert_revision(tx, deployment, checked, origin)
    await _remember(tx, caller, deployment, origin, fresh=present is None)
    await prices.declare(tx, deployment.id, checked.prices)
    await revision.bump(tx, "target", deployment.id)
    what = "updated" if present else "created"
    await _note(tx, caller, deployment, what, _shown(deployment, checked, origin))
    await observe.carry(tx, deployment.id)
    view = await read.load(tx, deployment.id)
    return view.deployment if view else deployment


async def delete(
    tx: Tx, caller: Principal, ref: str, *, environment: str | None, if_match: int | None
) -> None:
    """
    Take a deployment and its endpoint away; its model servers end by reconciliation.

    Raises:
        NotFound: There is none that the caller may see.
        Forbidden: The caller may not delete it.
        RevisionConflict: It is no longer at `if_match`.
        InUse: Other endpoints have it as a target.
    """
    view = await read.get(tx, caller, ref, verb=Verb.DELETE, environment=environment)
    deployment = view.deployment
    revision.match(if_match, deployment.revision)
    if deployment.deleting:
        return
    await endpoints.withdraw(tx, caller, deployment.id, deployment.name, deployment.environment)
    await store.observe(tx, deployment.id, {"deleting_at_ms": tx.now_ms, "phase": Phase.DELETING})
    await log.changed(tx, deployment, Phase.DELETING, (), said="It is on its way out.")
    await trials.withdraw_trials(tx, deployment.id)
    for replica in view.replicas:
        await observe.retire(tx, replica, after_ms=DRAIN_MS)
    await prices.withdraw(tx, [deployment.id])
    await history.ended(tx, deployment.id)
    await approvals.void(
        tx,
        caller,
        subject_id=deployment.id,
        name=deployment.name,
        environment=deployment.environment,
        why=f"it is being deleted from {deployment.environment}",
    )
    await _note(tx, caller, deployment, "deleted", None)


async def expire(tx: Tx, deployment_id: str, *, notify: bool = False) -> None:
    """
    Say once that a deployment expires; once its time is over, take it away as `delete` does.

    Args:
        notify: Whether a receiver outside is told too.

    Raises:
        InUse: Other endpoints have it as a target; it stays until they have not.
    """
    if await expiry.warn(tx, deployment_id, notify=notify):
        await delete(tx, SYSTEM, deployment_id, environment=None, if_match=None)


@holds.artifacts
async def _held(tx: Tx, digests: Collection[str]) -> Collection[str]:
    return await store.digests_of_revisions(tx, digests)


@holds.trees
async def _trees(tx: Tx) -> Collection[str]:
    return [list_digest(files) for files in await store.lists_in_use(tx)]


@uses.of("project")
async def _uses_of_project(tx: Tx, project_id: str) -> Sequence[str]:
    return [f"deployment {name}" for name in await store.of_project(tx, project_id)]


@uses.of("model")
async def _uses_of_model(tx: Tx, model_id: str) -> Sequence[str]:
    model = await models.find(tx, model_id)
    names = await store.serving_model(tx, model.name) if model else []
    return [f"deployment {name}" for name in names]


@uses.of("alias")
async def _uses_of_alias(tx: Tx, alias_id: str) -> Sequence[str]:
    found = await aliases.place(tx, alias_id)
    names = await store.declared_by_alias(tx, found[0].name, found[1]) if found else []
    return [f"deployment {name}" for name in names]


def _fresh(tx: Tx, checked: Checked, deployment_id: str, endpoint_id: str) -> Deployment:
    return Deployment(
        id=deployment_id,
        revision=1,
        created_at_ms=tx.now_ms,
        updated_at_ms=tx.now_ms,
        name=checked.name,
        environment=checked.environment,
        team_id=checked.team_id,
        project_id=checked.project_id,
        endpoint_id=endpoint_id,
        serving=0,
        phase=Phase.PENDING,
        conditions=_conditions(tx, checked),
        first_ready_at_ms=None,
        deleting_at_ms=None,
    )


def _conditions(tx: Tx, checked: Checked) -> tuple[Condition, ...]:
    """Start the conditions of a revision: checked, and nothing else yet."""
    first = Condition(
        Step.CHECKED, Status.TRUE, "Accepted", f"{checked.message}.", changed_at_ms=tx.now_ms
    )
    waiting = [
        Condition(step, Status.UNKNOWN, "Waiting", "Not begun yet.", changed_at_ms=tx.now_ms)
        for step in Step
        if step is not Step.CHECKED
    ]
    return (first, *waiting)


async def _remember(
    tx: Tx, caller: Principal, deployment: Deployment, origin: Origin, *, fresh: bool
) -> None:
    """Note what was declared, and close the requests about what it was before."""
    await history.declared(tx, caller, deployment, origin, fresh=fresh)
    await approvals.void(
        tx,
        caller,
        subject_id=deployment.id,
        name=deployment.name,
        environment=deployment.environment,
        why=f"revision {deployment.revision} was declared in {deployment.environment} since",
        but=origin.approval,
    )


async def _insert_revision(
    tx: Tx, deployment: Deployment, checked: Checked, origin: Origin
) -> None:
    proof = store.proof(checked.workload, checked.proving)
    await store.insert_revision(
        tx,
        Revision(
            deployment_id=deployment.id,
            number=deployment.revision,
            manifest=checked.manifest,
            workload=checked.workload,
            serving=checked.serving,
            scaling=checked.scaling,
            reserved=checked.reserved,
            created_at_ms=tx.now_ms,
            created_by=origin.by_id,
            origin=origin,
            warnings=checked.warnings,
            proving=checked.proving,
            proved_by=await store.proved(tx, deployment.id, proof),
            note=origin.note,
        ),
    )


def _shown(deployment: Deployment, checked: Checked, origin: Origin) -> dict[str, Any]:
    """Return what the audit log has of a revision."""
    shown: dict[str, Any] = {
        "name": checked.name,
        "environment": checked.environment,
        "revision": deployment.revision,
        "model": f"models:/{checked.workload.model}/{checked.workload.version}",
        "digest": checked.workload.model_digest,
        "replicas": checked.scaling.most,
    }
    if checked.audited:
        shown["policies"] = list(checked.audited)
    if origin.how is not How.MANIFEST:
        shown["origin"] = asdict(origin)
    return shown


async def _note(
    tx: Tx,
    caller: Principal,
    deployment: Deployment,
    what: str,
    changes: Mapping[str, Any] | None,
) -> None:
    await audit.append(
        tx,
        caller,
        action=f"deployment.{what}",
        noun="deployment",
        id=deployment.id,
        team=deployment.team_id,
        changes=changes,
    )
