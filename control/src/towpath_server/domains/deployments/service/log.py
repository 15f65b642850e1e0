"""The log of what deployments go through: conditions and phases, kept beyond their end."""

from collections.abc import Collection

from towpath_server.core import ids
from towpath_server.core.access import Principal
from towpath_server.core.db import Tx
from towpath_server.core.paging import Slice, Window
from towpath_server.domains.deployments.models import Condition, Deployment, Phase
from towpath_server.domains.deployments.models.proving import Event
from towpath_server.domains.deployments.service import read
from towpath_server.domains.deployments.store import events as store
from towpath_server.domains.deployments.store import scaling as scaling_store

PHASE = "Phase"
DECISIONS_KEPT_MS = 30 * 86_400_000
KEPT_MS = 400 * 86_400_000  # a year and a month: what a yearly report asks for


async def changed(
    tx: Tx,
    deployment: Deployment,
    phase: Phase,
    conditions: Collection[Condition],
    *,
    said: str = "",
) -> None:
    """Append what differs from what `deployment` has; `said` stands beside a phase."""
    known = {one.type: (one.status, one.reason) for one in deployment.conditions}
    for one in conditions:
        if known.get(one.type) != (one.status, one.reason):
            await _append(tx, deployment, one.type, one.status, (one.reason, one.message))
    if phase is not deployment.phase:
        await _append(tx, deployment, PHASE, phase, (phase, said))


async def begun(tx: Tx, deployment: Deployment) -> None:
    """Append where a new revision starts from."""
    for one in deployment.conditions:
        await _append(tx, deployment, one.type, one.status, (one.reason, one.message))
    words = f"Revision {deployment.revision} is declared."
    await _append(tx, deployment, PHASE, deployment.phase, ("Declared", words))


async def noted(tx: Tx, deployment: Deployment, type_: str, reason: str, message: str) -> None:
    """Append what is no change of a condition."""
    await _append(tx, deployment, type_, reason, (reason, message))


async def ended(tx: Tx, deployment: Deployment) -> None:
    """Append that nothing of it is left."""
    await _append(tx, deployment, PHASE, "Deleted", ("Deleted", "Nothing of it is left."))


async def events(
    tx: Tx, caller: Principal, ref: str, window: Window, *, environment: str | None
) -> Slice[Event]:
    """
    List what a deployment went through, oldest first.

    Raises:
        NotFound: There is none that the caller may see.
        InvalidRequest: The name exists in several environments, and none was said.
    """
    view = await read.get(tx, caller, ref, environment=environment)
    return Slice.cut(await store.page(tx, view.deployment.id, window), window)


async def forget(tx: Tx) -> int:
    """Drop some events that are older than they are kept; return how many went."""
    await scaling_store.forget(tx, before_ms=tx.now_ms - DECISIONS_KEPT_MS)
    return await store.forget(tx, before_ms=tx.now_ms - KEPT_MS)


async def _append(
    tx: Tx, deployment: Deployment, type_: str, status: str, why: tuple[str, str]
) -> None:
    event = Event(
        id=ids.new("evt"),
        deployment_id=deployment.id,
        name=deployment.name,
        environment=deployment.environment,
        team_id=deployment.team_id,
        project_id=deployment.project_id,
        number=deployment.revision,
        at_ms=tx.now_ms,
        type=type_,
        status=status,
        reason=why[0],
        message=why[1],
    )
    await store.insert(tx, event)
