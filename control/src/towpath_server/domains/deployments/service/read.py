"""Finding deployments, for those who may see them and for the loop."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from towpath_server.core import suggest
from towpath_server.core.access import Principal, Verb
from towpath_server.core.db import Tx
from towpath_server.core.errors import Finding, InvalidRequest, NotFound
from towpath_server.core.paging import Slice, Window
from towpath_server.domains.deployments.models import Deployment, View
from towpath_server.domains.deployments.store import deployments as store
from towpath_server.domains.deployments.store import replicas as replica_store
from towpath_server.domains.deployments.store import rollouts as rollout_store
from towpath_server.domains.deployments.store import trials as trial_store
from towpath_server.domains.nodes.models import Holder
from towpath_server.domains.prices import service as prices
from towpath_server.domains.projects import service as projects


async def get(
    tx: Tx, caller: Principal, ref: str, *, verb: Verb = Verb.READ, environment: str | None = None
) -> View:
    """
    Return a deployment by id or name, with all that belongs to it.

    Raises:
        NotFound: There is none that the caller may see.
        Forbidden: The caller may see it, and may not `verb` it.
        InvalidRequest: The name exists in several environments, and none was said.
    """
    found = [
        deployment
        for deployment in await store.find(tx, ref, environment)
        if caller.may(
            Verb.READ, "deployment", team=deployment.team_id, project=deployment.project_id
        )
    ]
    if not found:
        known = await store.page(
            tx,
            caller.reach("deployment"),
            environment=environment,
            project_id=None,
            window=Window(limit=1_000),
        )
        hint = suggest.did_you_mean(ref, [deployment.name for deployment in known])
        raise NotFound("deployment", ref, fix=hint)
    if len(found) > 1:
        listed = ", ".join(f"`{deployment.environment}`" for deployment in found)
        raise InvalidRequest(
            f"`{ref}` is deployed in {listed}.",
            fix=f"Say which: `?environment={found[0].environment}`, or use its id.",
            findings=[Finding("?environment", f"It must be one of {listed}.")],
        )
    deployment = found[0]
    caller.require(
        verb, "deployment", team=deployment.team_id, project=deployment.project_id, ref=ref
    )
    return (await _views(tx, found))[0]


async def list(  # noqa: A001
    tx: Tx,
    caller: Principal,
    window: Window,
    *,
    environment: str | None = None,
    project: str | None = None,
) -> Slice[View]:
    """
    List deployments that the caller may see.

    Raises:
        NotFound: There is no such project that the caller may see.
    """
    owner = await projects.resolve(tx, caller, project) if project is not None else None
    found = await store.page(
        tx,
        caller.reach("deployment"),
        environment=environment,
        project_id=owner.id if owner else None,
        window=window,
    )
    return Slice.cut(await _views(tx, found), window, key=lambda view: view.deployment.id)


async def load(tx: Tx, deployment_id: str) -> View | None:
    """Return a deployment with all that belongs to it, whoever asks."""
    found = await store.rows(tx, wanted=[deployment_id])
    return (await _views(tx, found))[0] if found else None


async def loads(tx: Tx, deployment_ids: Sequence[str]) -> Sequence[View]:
    """Return deployments with all that belongs to them, whoever asks; those that are there."""
    return await _views(tx, await store.rows(tx, wanted=deployment_ids))


async def pending(tx: Tx) -> Sequence[str]:
    """Return the ids of every deployment, which the loop looks at."""
    return await store.all_ids(tx)


async def moving(tx: Tx) -> Sequence[str]:
    """Return the ids of deployments that are not as they should be."""
    return await store.moving_ids(tx)


async def holders(tx: Tx, replica_ids: Collection[str]) -> dict[str, Holder]:
    """Say of which deployments these replicas are."""
    found = await replica_store.owners(tx, replica_ids)
    return {replica: Holder(*owner) for replica, owner in found.items()}


async def was_ready(tx: Tx, ids: Sequence[str]) -> set[str]:
    """Return which of these deployments have been ready once."""
    return await store.once_ready(tx, ids)


async def views(tx: Tx, found: Sequence[Deployment]) -> Sequence[View]:
    """Add what belongs to deployments."""
    return await _views(tx, found)


async def _views(tx: Tx, found: Sequence[Deployment]) -> Sequence[View]:
    paths = await projects.names(tx, {deployment.project_id for deployment in found})
    replicas = await replica_store.of(tx, [deployment.id for deployment in found])
    wanted = {(d.id, number) for d in found for number in (d.revision, d.serving) if number}
    revisions = await store.revisions(tx, wanted)
    owned = await prices.of(tx, {deployment.id for deployment in found})
    trials = await trial_store.newest(tx, [deployment.id for deployment in found])
    coming = [deployment.id for deployment in found if deployment.revision != deployment.serving]
    rollouts = await rollout_store.newest(tx, coming) if coming else {}
    return [
        View(
            deployment=replace(deployment, project_path=paths.get(deployment.project_id, "")),
            current=revisions[deployment.id, deployment.revision],
            serving=revisions.get((deployment.id, deployment.serving)),
            replicas=tuple(replicas[deployment.id]),
            prices=tuple(owned.get((deployment.id, ""), ())),
            trial=trials.get(deployment.id),
            rollout=rollouts.get(deployment.id),
        )
        for deployment in found
    ]
