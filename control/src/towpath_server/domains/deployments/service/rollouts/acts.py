"""What people do with a rollout: look at it, stop its clock, skip what is left, end it."""

import enum
from dataclasses import dataclass
from typing import Any

from towpath_server.core import revision
from towpath_server.core.access import Principal, Verb
from towpath_server.core.db import Tx
from towpath_server.core.errors import NotFound
from towpath_server.domains.audit import service as audit
from towpath_server.domains.deployments.errors import RolloutOver
from towpath_server.domains.deployments.models import View
from towpath_server.domains.deployments.models.rollout import Evidence, Outcome, Rollout
from towpath_server.domains.deployments.service import log, read
from towpath_server.domains.deployments.service.rollouts import moves
from towpath_server.domains.deployments.service.rollouts.decide import Trouble
from towpath_server.domains.deployments.store import rollouts as store


class Act(enum.StrEnum):
    """What can be done with an open rollout."""

    PAUSE = "pause"
    RESUME = "resume"
    FINISH = "finish"
    """All of the traffic once all replicas are there, without the steps that are left."""
    ABORT = "abort"


_DONE = {
    Act.PAUSE: "paused",
    Act.RESUME: "resumed",
    Act.FINISH: "finished",
    Act.ABORT: "aborted",
}
_GOING: dict[str, Any] = {"paused_at_ms": None, "paused_by": None}


@dataclass(frozen=True)
class Standing:
    """Where a rollout stands, and what is counted in its step so far."""

    view: View
    rollout: Rollout
    evidence: Evidence
    now_ms: int


async def standing(
    tx: Tx, caller: Principal, ref: str, *, environment: str | None, number: int | None = None
) -> Standing:
    """
    Return the last rollout of a deployment, or that of one revision.

    Raises:
        NotFound: There is no such deployment that the caller may see, or no rollout.
        InvalidRequest: The name exists in several environments, and none was said.
    """
    view = await read.get(tx, caller, ref, environment=environment)
    return await _standing(tx, view, number)


async def act(
    tx: Tx,
    caller: Principal,
    ref: str,
    what: Act,
    *,
    environment: str | None,
    if_match: int | None,
) -> Standing:
    """
    Stop a rollout's clock, let it go on, skip what is left of it, or roll it back now.

    Asking twice changes nothing.

    Args:
        if_match: The rollout's revision.

    Raises:
        NotFound: There is no such deployment that the caller may see, or no rollout.
        Forbidden: The caller may not deploy there.
        RevisionConflict: It is no longer at `if_match`.
        RolloutOver: It has ended.
        InvalidRequest: The name exists in several environments, and none was said.
    """
    view = await read.get(tx, caller, ref, verb=Verb.UPDATE, environment=environment)
    found = (await _standing(tx, view, None)).rollout
    revision.match(if_match, found.revision)
    if not found.open or view.deployment.deleting:
        raise RolloutOver(view.deployment.name, found.number, found.outcome or "deleted")
    await _do(tx, caller, view, found, what)
    fresh = await read.load(tx, view.deployment.id)
    return await _standing(tx, fresh or view, found.number)


async def abort(tx: Tx, caller: Principal, view: View) -> None:
    """Roll back what rolls out now."""
    if view.rollout is not None and view.rollout.open:
        await _do(tx, caller, view, view.rollout, Act.ABORT)


async def _do(tx: Tx, caller: Principal, view: View, found: Rollout, what: Act) -> None:
    values: dict[str, Any] = {}
    if what is Act.PAUSE and not found.paused:
        values = {"paused_at_ms": tx.now_ms, "paused_by": caller.name}
    elif what is Act.RESUME and found.paused:
        values = _resumed(tx, found)
    elif what is Act.FINISH and not found.last:
        evidence = await store.counted(tx, found)
        values = moves.over(tx, found, evidence, to=len(found.plan.stages)) | _GOING
    elif what is Act.FINISH and found.paused:
        values = _resumed(tx, found)
    elif what is Act.ABORT:
        said = f"{caller.name} rolled revision {found.number} back."
        fix = "Deploy it again to begin anew."
        why = Trouble("Aborted", said, fix)
        await moves.end(tx, view.deployment, found, Outcome.ABORTED, why, by=caller.name)
    else:
        return
    if what is not Act.ABORT:
        await store.change(tx, found, values)
        await moves.tell(tx, found)
        said = f"{caller.name} {_DONE[what]} the rollout of revision {found.number}."
        await log.noted(tx, view.deployment, moves.STARTED, _DONE[what].capitalize(), said)
    await audit.append(
        tx,
        caller,
        action=f"deployment.rollout_{_DONE[what]}",
        noun="deployment",
        id=view.deployment.id,
        team=view.deployment.team_id,
        changes={"revision": found.number, "step": found.step},
    )


def _resumed(tx: Tx, found: Rollout) -> dict[str, Any]:
    """Let the clock go on: the pause does not count."""
    values = dict(_GOING)
    if found.since_ms is not None and found.paused_at_ms is not None:
        values["since_ms"] = found.since_ms + (tx.now_ms - found.paused_at_ms)
    return values


async def _standing(tx: Tx, view: View, number: int | None) -> Standing:
    """
    Add what is counted.

    Raises:
        NotFound: There is no rollout.
    """
    id_, name = view.deployment.id, view.deployment.name
    if number is None:
        found = await store.last(tx, id_)
    else:
        found = (await store.of(tx, id_, [number])).get(number)
    if found is None:
        fix = "Declare `rollout` in the manifest: the next revision takes over by its steps."
        raise NotFound("rollout", name, fix=fix)
    evidence = Evidence()
    if found.open:
        evidence = (await store.counted(tx, found)).since(found.base)
    return Standing(view, found, evidence, tx.now_ms)
