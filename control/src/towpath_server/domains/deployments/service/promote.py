"""
Carrying on what serves in one environment to the next: the same content, never a rebuild.

The manifest that serves is read anew for the other environment and passes every check there. Where
that environment asks for approvals, the promotion is asked for first, or somebody who may approve
says why it goes on without.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol

from towpath_server.adapters.facilities import Facilities
from towpath_server.core import revision
from towpath_server.core.access import Principal
from towpath_server.core.db import Tx
from towpath_server.core.errors import Finding, InvalidRequest
from towpath_server.domains.approvals.errors import ApprovalClosed
from towpath_server.domains.approvals.models import Approval, Wish
from towpath_server.domains.deployments.models import (
    Checked,
    Deployment,
    Draft,
    Phase,
    Revision,
    View,
)
from towpath_server.domains.deployments.models.history import How, Origin, Promotion, Source
from towpath_server.domains.deployments.service import read as reading
from towpath_server.domains.deployments.service.apply import apply, check
from towpath_server.domains.deployments.service.check import whereto
from towpath_server.domains.deployments.store import deployments as store
from towpath_server.domains.endpoints.models import ENVIRONMENTS


class Reader(Protocol):
    """Reads a manifest for an environment; what is wrong is listed in the draft."""

    def __call__(self, document: Any, *, environment: str) -> Draft:
        """Read it."""
        ...


async def check_promotion(
    tx: Tx, caller: Principal, promotion: Promotion, *, read: Reader, facilities: Facilities
) -> Checked:
    """
    Say what a promotion would come to; nothing is changed.

    Raises:
        NotFound: There is no such deployment that the caller may see.
        Forbidden: The caller may not deploy there.
        InvalidRequest: It does not lead onwards.
        ManifestInvalid: Something else is wrong; every finding is listed.
    """
    view = await _source(tx, caller, promotion)
    findings = [*_readiness(view), *await _consent(tx, caller, view, promotion, facilities)]
    draft = _draft(view, promotion, read, findings)
    return await check(
        tx,
        caller,
        draft,
        environment=promotion.to,
        facilities=facilities,
        origin=_origin(caller, view),
    )


async def promote(
    tx: Tx,
    caller: Principal,
    promotion: Promotion,
    *,
    read: Reader,
    facilities: Facilities,
    if_match: int | None = None,
) -> Deployment:
    """
    Serve in another environment what serves in this one: same content, same runtime.

    Args:
        if_match: The revision of the deployment that is promoted.

    Raises:
        NotFound: There is no such deployment that the caller may see.
        Forbidden: The caller may not deploy there.
        RevisionConflict: It is no longer at `if_match`.
        InvalidRequest: It does not lead onwards.
        ManifestInvalid: Something else is wrong, such as that it is not ready, or that others must
            agree; every finding is listed.
    """
    view = await _source(tx, caller, promotion)
    revision.match(if_match, view.deployment.revision)
    findings = [*_readiness(view), *await _consent(tx, caller, view, promotion, facilities)]
    return await apply(
        tx,
        caller,
        _draft(view, promotion, read, findings),
        environment=promotion.to,
        facilities=facilities,
        origin=_origin(caller, view, reason=promotion.reason),
    )


async def ask(
    tx: Tx, caller: Principal, promotion: Promotion, *, read: Reader, facilities: Facilities
) -> Wish:
    """
    Check a promotion that others are to agree to, and bind it to what serves now.

    Raises:
        NotFound: There is no such deployment that the caller may see.
        Forbidden: The caller may not deploy there.
        InvalidRequest: It does not lead onwards.
        ManifestInvalid: Something else is wrong; every finding is listed.
    """
    view = await _source(tx, caller, promotion)
    checked = await check(
        tx,
        caller,
        _draft(view, promotion, read, _readiness(view)),
        environment=promotion.to,
        facilities=facilities,
        origin=_origin(caller, view),
    )
    workload, source = checked.workload, view.deployment
    return Wish(
        team_id=checked.team_id,
        project_id=checked.project_id,
        environment=promotion.to,
        name=checked.name,
        subject_id=source.id,
        digest=workload.model_digest,
        needed=facilities.approvals.needed(promotion.to),
        summary=f"promote {checked.name} (models:/{workload.model}/{workload.version} on "
        f"{workload.runtime} {workload.runtime_version}) from {source.environment} to "
        f"{promotion.to}",
        payload={
            "deployment": source.id,
            "environment": source.environment,
            "to": promotion.to,
            "overrides": promotion.overrides,
            "revision": source.serving,
            "workload": _identity(checked),
            "replaces": await _present(tx, checked),
        },
    )


async def promote_approved(
    tx: Tx, caller: Principal, approval: Approval, *, read: Reader, facilities: Facilities
) -> Mapping[str, Any]:
    """
    Carry out a promotion that was agreed to, in the name of who asked for it.

    Raises:
        ApprovalClosed: What was agreed to is not what would be done now.
        ManifestInvalid: It does not pass its checks any more; every finding is listed.
    """
    bound = approval.payload
    promotion = Promotion(
        ref=bound["deployment"],
        environment=bound["environment"],
        to=bound["to"],
        overrides=bound["overrides"],
    )
    view = await _source(tx, caller, promotion)
    origin = replace(
        _origin(caller, view),
        by_id=approval.requested_by,
        by=approval.requested_by_name,
        approval=approval.id,
        approved_by=tuple(one.by for one in approval.agreed),
    )
    draft = _draft(view, promotion, read, _readiness(view))
    checked = await check(
        tx, caller, draft, environment=promotion.to, facilities=facilities, origin=origin
    )
    now = (view.deployment.serving, _identity(checked), await _present(tx, checked))
    if now != (bound["revision"], bound["workload"], bound["replaces"]):
        raise ApprovalClosed(approval.summary, "void", "it has changed since it was asked for")
    made = await apply(
        tx, caller, draft, environment=promotion.to, facilities=facilities, origin=origin
    )
    return {"deployment": made.id, "environment": made.environment, "revision": made.revision}


async def _source(tx: Tx, caller: Principal, promotion: Promotion) -> View:
    """Find what is promoted; without an environment, where it is nearest before the next."""
    if promotion.environment is not None:
        view = await reading.get(tx, caller, promotion.ref, environment=promotion.environment)
    else:
        found = {one.environment: one for one in await store.find(tx, promotion.ref)}
        before = ENVIRONMENTS[: ENVIRONMENTS.index(promotion.to)]
        nearest = next((found[name] for name in reversed(before) if name in found), None)
        view = await reading.get(tx, caller, nearest.id if nearest else promotion.ref)
    here = view.deployment.environment
    if ENVIRONMENTS.index(here) >= ENVIRONMENTS.index(promotion.to):
        detail = f"A promotion does not lead from {here} to {promotion.to}."
        fix = "Promote towards production; the other way, deploy the manifest there."
        finding = Finding("#/to", detail, fix, reason="NotOnwards")
        raise InvalidRequest(detail, fix=fix, findings=[finding])
    return view


def _readiness(view: View) -> list[Finding]:
    deployment = view.deployment
    if deployment.serving and deployment.phase is Phase.READY and not deployment.deleting:
        return []
    return [
        Finding(
            "?environment",
            f"`{deployment.name}` is not ready in {deployment.environment}: it is "
            f"{deployment.phase}.",
            f"See why: `towpath deployments show {deployment.name} "
            f"--environment {deployment.environment}`; promote it once it is Ready.",
            reason="SourceNotReady",
        )
    ]


async def _consent(
    tx: Tx, caller: Principal, view: View, promotion: Promotion, facilities: Facilities
) -> list[Finding]:
    """List what keeps the caller from going on without anybody else's word."""
    deployment, to = view.deployment, promotion.to
    needed = facilities.approvals.needed(to)
    entitled = whereto.may_approve(caller, deployment.team_id)
    if not needed or (entitled and promotion.reason):
        return []
    line = f"towpath promote {deployment.name} --to {to}"
    people = "another person" if needed == 1 else f"{needed} other people"
    alone = f'; or say why it goes on without: `{line} --force-reason "…"`' if entitled else ""
    who = "" if entitled else f" {await whereto.who_can(tx, deployment.team_id)} can approve it."
    return [
        Finding(
            "#/to",
            f"What is promoted to {to} needs the approval of {people}.{who}",
            f"Ask for it: `{line} --request`{alone}.",
            reason="ApprovalNeeded",
        )
    ]


def _draft(view: View, promotion: Promotion, read: Reader, findings: list[Finding]) -> Draft:
    document = _carried(view.serving or view.current, view.deployment, promotion)
    draft = read(document, environment=promotion.to)
    return replace(draft, findings=(*findings, *draft.findings))


def _carried(source: Revision, deployment: Deployment, promotion: Promotion) -> dict[str, Any]:
    """Write the manifest that serves, fixed to its very content and runtime."""
    workload = source.workload
    spec = dict(source.manifest["spec"])
    spec["model"] = {
        **spec["model"],
        "uri": f"models:/{workload.model}/{workload.version}",
        "digest": workload.model_digest,
    }
    runtime = {"name": workload.runtime, "version": workload.runtime_version}
    spec["runtime"] = {**(spec.get("runtime") or {}), **runtime}
    if promotion.overrides is not None:
        known = spec.get("overrides") or {}
        former = known.get(promotion.to) or {}
        spec["overrides"] = {**known, promotion.to: _laid_over(former, promotion.overrides)}
    metadata = {"project": deployment.project_path, **source.manifest["metadata"]}
    return {**source.manifest, "metadata": metadata, "spec": spec}


def _laid_over(former: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """Merge overrides; null is kept, since it takes away what the manifest says."""
    made = dict(former)
    for name, part in patch.items():
        before = made.get(name)
        both = isinstance(part, Mapping) and isinstance(before, Mapping)
        made[name] = _laid_over(before, part) if both else part
    return made


def _origin(caller: Principal, view: View, *, reason: str | None = None) -> Origin:
    deployment = view.deployment
    source = Source(deployment.id, deployment.environment, deployment.serving)
    return Origin(by_id=caller.id, by=caller.name, how=How.PROMOTION, source=source, reason=reason)


def _identity(checked: Checked) -> str:
    """Return the digest of all that a replica would depend on there."""
    return checked.workload.digest


async def _present(tx: Tx, checked: Checked) -> int:
    """Return the revision that would be replaced; 0: there is none."""
    found = await store.find(tx, checked.name, checked.environment)
    return found[0].revision if found else 0
