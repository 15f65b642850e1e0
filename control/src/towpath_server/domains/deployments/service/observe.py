"""
What the loop writes: replicas that come and go, which revision takes the traffic, and conditions.

Each function is one step in one transaction, and says whether there was anything to write.
"""

import secrets
from collections.abc import Collection
from dataclasses import replace
from typing import Any

from towpath_server.core import ids, revision
from towpath_server.core.access import SYSTEM
from towpath_server.core.db import Tx
from towpath_server.core.secret import Secret
from towpath_server.domains.approvals import service as approvals
from towpath_server.domains.deployments.models import (
    Condition,
    Deployment,
    Phase,
    Replica,
    Revision,
    View,
)
from towpath_server.domains.deployments.models.proving import Proving
from towpath_server.domains.deployments.models.rollout import Evidence
from towpath_server.domains.deployments.service import history, log, read, scaling
from towpath_server.domains.deployments.service.rollouts import moves
from towpath_server.domains.deployments.service.rollouts.decide import Move
from towpath_server.domains.deployments.store import deployments as store
from towpath_server.domains.deployments.store import replicas as replica_store
from towpath_server.domains.deployments.store import rollouts
from towpath_server.domains.endpoints import service as endpoints
from towpath_server.domains.evaluations import service as evaluations
from towpath_server.domains.evaluations.models import Judgement, Subject

_SECRET_BYTES = 32


async def grow(tx: Tx, view: View, of: Revision) -> None:
    """Note that the replicas of a revision that are missing are wanted."""
    for ordinal in view.missing(of):
        await _add_replica(tx, view, of, ordinal)


async def _add_replica(tx: Tx, view: View, of: Revision, ordinal: int) -> None:
    """Give it a secret of its own."""
    replica = Replica(
        id=ids.new("rep"),
        deployment_id=view.deployment.id,
        number=of.number,
        ordinal=ordinal,
        workload=of.workload.digest,
        credential_id=ids.new("crd"),
        created_at_ms=tx.now_ms,
    )
    secret = Secret(secrets.token_urlsafe(_SECRET_BYTES))
    await replica_store.insert(tx, replica, tx.sealer.seal(secret, id=replica.credential_id))
    await revision.bump(tx, "credential", replica.credential_id)


async def secret_of(tx: Tx, replica: Replica) -> Secret | None:
    """Open a replica's secret, to start its process with."""
    sealed = await replica_store.sealed(tx, replica.id)
    return None if sealed is None else tx.sealer.open(sealed, id=replica.credential_id)


async def carry(tx: Tx, deployment_id: str) -> bool:
    """
    Let running replicas serve the newest revision, where it changes nothing that they depend on.

    So a change of access or price loads no model again.
    """
    view = await read.load(tx, deployment_id)
    if view is None:
        return False
    wanted = view.current.workload.digest
    taken = {replica.ordinal for replica in view.of(view.current.number)}
    carried = [
        replica
        for replica in view.replicas
        if replica.workload == wanted
        and replica.number != view.current.number
        and replica.ordinal not in taken
        and not replica.retiring
    ]
    # What serves is not moved to a revision that has to prove itself first: it would be taken out
    # of the traffic. What only waited to serve may prove itself under the newer number.
    proved = view.current.proved_by is not None or view.current.proving == Proving()
    serving = view.deployment.serving
    chosen: dict[int, Replica] = {}  # one of each ordinal: the one that serves, where there is one
    for replica in sorted(carried, key=lambda one: one.number != serving):
        if replica.ordinal < view.wanted(view.current) and (proved or replica.number != serving):
            chosen.setdefault(replica.ordinal, replica)
    for replica in chosen.values():
        await replica_store.change(tx, replica.id, {"number": view.current.number})
    if any(replica.number == serving for replica in chosen.values()):
        await _serve(tx, view)
    return bool(chosen)


async def replica_changed(
    tx: Tx, view: View, former: Replica, now: Replica, *, engine_ms: int | None = None
) -> None:
    """
    Write what was observed of a replica; gateways hear of it when it concerns the traffic.

    Args:
        engine_ms: How long it took from its process's start until it was healthy.
    """
    names = ("state", "address", "restarts", "crashes", "reason", "message", "gpus", "isolation")
    await replica_store.change(tx, now.id, {name: getattr(now, name) for name in names})
    moved = (former.ready, former.address if former.ready else None) != (
        now.ready,
        now.address if now.ready else None,
    )
    if now.ready and not former.ready:
        await scaling.woken(tx, view, now, engine_ms)
    if moved and not view.deployment.deleting:
        if now.number == view.deployment.serving:
            await revision.bump(tx, "target", view.deployment.id)
        elif view.rollout is not None and view.rollout.number == now.number:
            await moves.tell(tx, view.rollout)


async def expose(tx: Tx, view: View) -> None:
    """Give the traffic to the newest revision; gateways get all of it in one change."""
    await _serve(tx, view)


async def counted(tx: Tx, view: View) -> Evidence:
    """Return what was counted of both revisions since the rollout of the newest was declared."""
    rollout = view.rollout
    return await rollouts.counted(tx, rollout) if rollout and rollout.open else Evidence()


async def roll(tx: Tx, view: View, found: Move, evidence: Evidence) -> None:
    """Take a step of the newest revision's rollout, all but its last one, which is `expose`."""
    await moves.move(tx, view, found, evidence)


async def retire(tx: Tx, replica: Replica, *, after_ms: int) -> bool:
    """Take a replica out of the traffic; it may be stopped after a while."""
    if replica.retiring:
        return False
    await replica_store.change(tx, replica.id, {"retire_at_ms": tx.now_ms + after_ms})
    await revision.bump(tx, "target", replica.deployment_id)
    await _told(tx, replica)
    return True


async def forget_replica(tx: Tx, replica: Replica) -> None:
    """Remove a replica whose process is gone, and its secret."""
    await replica_store.remove(tx, replica.id)
    await revision.bump(tx, "credential", replica.credential_id)
    await _told(tx, replica)


async def _told(tx: Tx, replica: Replica) -> None:
    """Let gateways hear of the target of a revision that rolled out, as its replicas go."""
    found = await rollouts.of(tx, replica.deployment_id, [replica.number])
    if replica.number in found:
        await revision.bump(tx, "target", found[replica.number].target)


async def forget(tx: Tx, deployment: Deployment) -> None:
    """Remove a deployment that has no replica left."""
    await log.ended(tx, deployment)
    await store.remove(tx, deployment.id)
    await revision.bump(tx, "target", deployment.id)


async def conclude(
    tx: Tx, view: View, phase: Phase, conditions: Collection[Condition], note: str | None
) -> bool:
    """Write phase and conditions where they differ; tell whether they did."""
    deployment = view.deployment
    known = {condition.type: condition for condition in deployment.conditions}
    merged = tuple(_kept(known.get(condition.type), condition, tx) for condition in conditions)
    if phase is deployment.phase and merged == deployment.conditions:
        return False
    await log.changed(tx, deployment, phase, merged, said=note or "")
    values: dict[str, Any] = {"phase": phase, "conditions": merged}
    if phase is Phase.READY and deployment.first_ready_at_ms is None:
        values["first_ready_at_ms"] = tx.now_ms
    await store.observe(tx, deployment.id, values)
    await history.observed(tx, view, values)
    await endpoints.observe(
        tx, deployment.id, ready=bool(view.exposed) or phase is Phase.IDLE, note=note
    )
    stuck = {Phase.FAILED, Phase.DEGRADED}
    if view.current.scaling.sleeps and (phase in stuck) != (deployment.phase in stuck):
        await revision.bump(tx, "target", deployment.id)  # whether calls wait for it
    return True


async def judged(tx: Tx, view: View) -> list[Judgement]:
    """Say what the gates of the newest revision come to, by the results recorded so far."""
    current, deployment = view.current, view.deployment
    gates = current.proving.gates
    wanted = {gate.baseline for gate in gates if gate.baseline is not None}
    baselines = await store.serving_digests(tx, deployment.name, wanted) if wanted else {}
    workload = current.workload
    subject = Subject(
        workload.model, workload.version, workload.model_digest, workload.runtime, baselines
    )
    return await evaluations.judge(tx, gates, subject)


@evaluations.on_record
async def _recorded(tx: Tx, digest: str) -> None:
    """Let the loop look again at what waits for a result of this content."""
    for deployment_id in await store.awaiting(tx, digest):
        await revision.bump(tx, "target", deployment_id)


async def known_replicas(tx: Tx) -> set[str]:
    """Return the ids of all replicas there should be."""
    return await replica_store.all_ids(tx)


async def _serve(tx: Tx, view: View) -> None:
    """Let the newest revision take the traffic."""
    deployment = view.deployment
    await store.exposed(tx, deployment.id, view.current.number)
    values = {"serving": view.current.number}
    if (
        deployment.scale is not None
    ):  # what has proved itself stays as it is, until the load says more
        values["scale"] = view.wanted(view.current)
    await store.observe(tx, deployment.id, values)
    await history.began(tx, deployment, view.current)
    await moves.complete(tx, view)
    if deployment.serving != view.current.number:
        await approvals.void(
            tx,
            SYSTEM,
            subject_id=deployment.id,
            name="",
            environment="",
            why=f"revision {view.current.number} serves in {deployment.environment} by now",
        )
    await revision.bump(tx, "target", view.deployment.id)


def _kept(former: Condition | None, now: Condition, tx: Tx) -> Condition:
    """Keep the time of a condition that is as it was."""
    if former is not None and replace(former, changed_at_ms=0) == replace(now, changed_at_ms=0):
        return former
    same = former is not None and former.status is now.status
    return replace(now, changed_at_ms=former.changed_at_ms if same and former else tx.now_ms)
