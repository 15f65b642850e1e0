"""What the gateway needs of deployments."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from towpath_server.core.db import Tx
from towpath_server.core.upstream import ColdStart, Handling
from towpath_server.domains.deployments.models import Phase, Revision, View
from towpath_server.domains.deployments.models import Replica as Running
from towpath_server.domains.deployments.service import read, scaling
from towpath_server.domains.deployments.store import deployments as store
from towpath_server.domains.deployments.store import replicas as replica_store
from towpath_server.domains.deployments.store import rollouts
from towpath_server.domains.endpoints import service as endpoints
from towpath_server.domains.endpoints.models import Candidate, Replica, RoutedTarget
from towpath_server.domains.providers.models import Credential


async def routed_targets(
    tx: Tx, *, ids: Collection[str] | None = None, after: str = "", limit: int = 5_000
) -> list[RoutedTarget]:
    """
    List deployments as targets by id, or all after one, in order of id.

    One that is being deleted has no replica here and is named by no endpoint; it stays until its
    last process is gone, so that gateways say which of them still have calls.
    """
    found = await store.rows(tx, wanted=ids, after=after, limit=limit)
    views = [view for view in await read.views(tx, found) if view.here]
    sleeping = [view.deployment.id for view in views if _cold_start(view) is not None]
    estimates = await scaling.estimates(tx, sleeping) if sleeping else {}
    return [
        replace(
            target(
                view,
                view.serving or view.current,
                view.exposed,
                cold_start=_estimated(_cold_start(view), estimates.get(view.deployment.id)),
            ),
            candidate=_candidate(view),
        )
        for view in views
    ]


async def routed_candidates(
    tx: Tx, *, ids: Collection[str] | None = None, after: str = "", limit: int = 5_000
) -> list[RoutedTarget]:
    """
    List newer revisions that take over step by step as targets, in order of id.

    Each stays until its last replica is gone, so that gateways say which of them still have calls.
    """
    rolling = [
        one
        for one in await rollouts.routed(tx)
        if (one.target > after if ids is None else one.target in ids)
    ]
    if not rolling:
        return []
    rows = await store.rows(tx, wanted={one.deployment_id for one in rolling})
    views = {view.deployment.id: view for view in await read.views(tx, rows)}
    shown = await store.revisions(tx, {(one.deployment_id, one.number) for one in rolling})
    found = []
    for one in rolling:
        view = views[one.deployment_id]
        ready = [replica for replica in view.of(one.number) if replica.ready]
        revision = shown[one.deployment_id, one.number]
        found.append(replace(target(view, revision, ready), id=one.target))
    return sorted(found, key=lambda one: one.id)[:limit]


async def routed_credentials(
    tx: Tx, *, ids: Collection[str] | None = None, after: str = "", limit: int = 5_000
) -> list[Credential]:
    """List the secrets of replicas by id, or all after one, in order of id."""
    return await replica_store.credentials(tx, wanted=ids, after=after, limit=limit)


@endpoints.exposes
async def _exposed(tx: Tx, wanted: Collection[str]) -> dict[str, list[str]]:
    """Return the replicas that take traffic now, by deployment."""
    found = await store.rows(tx, wanted=wanted, live=True) if wanted else []
    return {
        view.deployment.id: [replica.id for replica in view.exposed]
        for view in await read.views(tx, found)
    }


def target(
    view: View,
    shown: Revision,
    replicas: Sequence[Running],
    *,
    cold_start: ColdStart | None = None,
) -> RoutedTarget:
    """
    Write replicas of a revision as a target.

    Args:
        cold_start: How calls wait while it has no replica; none: they do not.
    """
    deployment = view.deployment
    workload, serving = shown.workload, shown.serving
    return RoutedTarget(
        id=deployment.id,
        name=deployment.name,
        kind="deployment",
        dialect=serving.dialect,
        replicas=tuple(_replica(one, serving.dialect) for one in replicas),
        upstream_model=deployment.name,
        operations=serving.operations,
        model={
            "name": workload.model,
            "version": workload.version,
            "digest": workload.model_digest,
        },
        signature=serving.signature,
        request_fields=serving.request_fields,
        max_data_class=serving.max_data_class,
        prices=tuple(price.id for price in view.prices),
        context_length=serving.context_length,
        modalities=serving.modalities,
        owned_by=serving.owned_by,
        handling=replace(Handling.of(serving.handling), cold_start=cold_start),
    )


def _candidate(view: View) -> Candidate | None:
    """Say which part of the calls the newest revision gets, while it takes over step by step."""
    rollout = view.rollout
    if rollout is None or not rollout.open or rollout.begun_at_ms is None:
        return None
    if view.deployment.deleting:
        return None
    return Candidate(rollout.target, rollout.percent(view.sides), rollout.shadow_percent)


def _cold_start(view: View) -> ColdStart | None:
    """Say how calls wait for what may sleep: once it has served, and unless it cannot start."""
    serving, deployment = view.serving, view.deployment
    if serving is None or not serving.scaling.sleeps:
        return None
    if deployment.phase in {Phase.FAILED, Phase.DEGRADED, Phase.DELETING}:
        return None
    return serving.scaling.cold_start


def _estimated(rules: ColdStart | None, estimate_ms: int | None) -> ColdStart | None:
    return replace(rules, estimate_ms=estimate_ms) if rules is not None else None


def _replica(found: Running, dialect: str) -> Replica:
    return Replica(found.id, _base(found.address or "", dialect), found.credential_id)


def _base(address: str, dialect: str) -> str:
    """For the OpenAI dialect an address is a base URL as clients know it, `/v1` included."""
    over_http = address.startswith("http://")
    return f"{address}/v1" if over_http and dialect == "openai" else address
