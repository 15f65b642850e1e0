"""Revisions of a deployment: what was declared when and by whom, and how to go back."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from towpath_server.core import revision
from towpath_server.core.access import Principal, Verb
from towpath_server.core.db import Tx
from towpath_server.core.errors import NotFound
from towpath_server.core.paging import Slice, Window
from towpath_server.domains.deployments.errors import NothingBefore
from towpath_server.domains.deployments.models import Revision, View
from towpath_server.domains.deployments.models.history import How, Origin, Source
from towpath_server.domains.deployments.service import read
from towpath_server.domains.deployments.service import rollouts as rolling
from towpath_server.domains.deployments.store import deployments as store
from towpath_server.domains.deployments.store import rollouts

_LOOKED = 1_000  # revisions back: nobody goes back further without saying to which


async def revisions(
    tx: Tx, caller: Principal, ref: str, window: Window, *, environment: str | None
) -> tuple[View, Slice[Revision]]:
    """
    List the revisions of a deployment, newest first.

    Raises:
        NotFound: There is none that the caller may see.
        InvalidRequest: The name exists in several environments, and none was said.
    """
    view = await read.get(tx, caller, ref, environment=environment)
    found = await store.history(tx, view.deployment.id, window)
    known = await rollouts.of(tx, view.deployment.id, [one.number for one in found])
    listed = [replace(one, rollout=known.get(one.number)) for one in found]
    return view, Slice.cut(listed, window, key=lambda one: str(one.number))


async def at_revision(
    tx: Tx, caller: Principal, ref: str, number: int, *, environment: str | None
) -> tuple[View, Revision]:
    """
    Return one revision.

    Raises:
        NotFound: There is none that the caller may see.
        InvalidRequest: The name exists in several environments, and none was said.
    """
    view = await read.get(tx, caller, ref, environment=environment)
    found = await _revision(tx, view, number)
    known = await rollouts.of(tx, view.deployment.id, [number])
    return view, replace(found, rollout=known.get(number))


async def former(
    tx: Tx, caller: Principal, ref: str, *, to: int | None, environment: str | None
) -> tuple[View, Revision, Mapping[str, Any]]:
    """
    Find what a deployment goes back to: a revision and its manifest.

    Without `to`, that is the last one before the newest that has taken traffic; while the newest
    has not, it is the one that serves.

    Raises:
        NotFound: There is no such deployment or revision that the caller may see.
        Forbidden: The caller may not deploy there.
        NothingBefore: No earlier revision has taken traffic.
        InvalidRequest: The name exists in several environments, and none was said.
    """
    view = await read.get(tx, caller, ref, verb=Verb.UPDATE, environment=environment)
    if to is not None:
        found = await _revision(tx, view, to)
        return view, found, exact(found)
    current = view.current
    for one in await store.history(tx, view.deployment.id, Window(limit=_LOOKED)):
        earlier = one.number < current.number and one.exposed_at_ms is not None
        if earlier and exact(one) != exact(current):
            return view, one, exact(one)
    raise NothingBefore(view.deployment.name)


async def aborted(
    tx: Tx, caller: Principal, view: View, former: Revision, *, if_match: int | None
) -> bool:
    """
    Roll back what takes over step by step, where the way back leads to what serves.

    Raises:
        RevisionConflict: The deployment is no longer at `if_match`.
    """
    rolls = view.rollout is not None and view.rollout.open
    if not rolls or former.number != view.deployment.serving:
        return False
    revision.match(if_match, view.deployment.revision)
    await rolling.abort(tx, caller, view)
    return True


def returning(caller: Principal, view: View, former: Revision) -> Origin:
    """Say how the revision comes about that goes back to a former one."""
    deployment = view.deployment
    return Origin(
        by_id=caller.id,
        by=caller.name,
        how=How.ROLLBACK,
        source=Source(deployment.id, deployment.environment, former.number),
        note=f"Back to revision {former.number}.",
    )


def exact(declared: Revision) -> dict[str, Any]:
    """Return a revision's manifest with the version that was meant, wherever an alias is now."""
    document, workload = declared.manifest, declared.workload
    spec = document["spec"]
    model = {**spec["model"], "uri": f"models:/{workload.model}/{workload.version}"}
    return {**document, "spec": {**spec, "model": model}}


async def _revision(tx: Tx, view: View, number: int) -> Revision:
    """
    Find a revision of a deployment.

    Raises:
        NotFound: There is none of this number.
    """
    key = (view.deployment.id, number)
    found = await store.revisions(tx, [key])
    if key not in found:
        newest = view.current.number
        raise NotFound("revision", str(number), fix=f"The newest revision is {newest}.")
    return found[key]
