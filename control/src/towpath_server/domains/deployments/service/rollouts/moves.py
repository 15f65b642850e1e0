"""What is written of a rollout: each a part of one step of the loop, or of what somebody does."""

from typing import Any

from towpath_server.core import ids, revision
from towpath_server.core.db import Tx
from towpath_server.domains.deployments.models import Deployment, View
from towpath_server.domains.deployments.models.rollout import (
    Evidence,
    Outcome,
    Plan,
    Rollout,
    Stretch,
)
from towpath_server.domains.deployments.service import log, trials
from towpath_server.domains.deployments.service.rollouts import words
from towpath_server.domains.deployments.service.rollouts.decide import Kind, Move, Trouble
from towpath_server.domains.deployments.store import rollouts as store

STARTED = "Rollout"


async def declare(tx: Tx, deployment: Deployment, plan: Plan | None) -> None:
    """Note how the newest revision takes over; what rolled out so far does so no more."""
    found = (await store.open_(tx, [deployment.id])).get(deployment.id)
    if found is not None:
        said = f"Revision {deployment.revision} was declared meanwhile."
        await end(tx, deployment, found, Outcome.REPLACED, Trouble("Replaced", said, None))
    if plan is None or not deployment.serving:
        return
    await store.forget_counts(tx, deployment.id)
    made = Rollout(
        id=ids.new("rol"),
        revision=1,
        created_at_ms=tx.now_ms,
        updated_at_ms=tx.now_ms,
        deployment_id=deployment.id,
        number=deployment.revision,
        plan=plan,
    )
    await store.insert(tx, made)


async def move(tx: Tx, view: View, found: Move, evidence: Evidence) -> None:
    """Take a step of an open rollout; `evidence` is what was counted since it was declared."""
    rollout = view.rollout
    if rollout is None:
        return
    if found.kind is Kind.BACK and found.why is not None:
        await end(tx, view.deployment, rollout, Outcome.ROLLED_BACK, found.why)
        return
    values: dict[str, Any] = {"base": evidence}
    if found.kind is Kind.BEGIN:
        values["begun_at_ms"] = tx.now_ms
    elif found.kind is Kind.HOLD:
        values["since_ms"] = tx.now_ms
    else:
        values |= over(tx, rollout, evidence, to=rollout.step + 1)
    await store.change(tx, rollout, values)
    await tell(tx, rollout)
    if found.kind is Kind.HOLD:
        stage = rollout.plan.stages[rollout.step]
        share = f"{stage.percent} % of the calls"
        if stage.shadows:
            share = f"{stage.shadow_percent} % of the calls are copied"
        said = f"{words.place(rollout)}: {share} for {words.span(stage.hold_ms)}."
        await log.noted(tx, view.deployment, STARTED, "RollingOut", said)


async def end(
    tx: Tx,
    deployment: Deployment,
    rollout: Rollout,
    outcome: Outcome,
    why: Trouble,
    *,
    by: str | None = None,
) -> None:
    """Close an open rollout, with what was counted in its last step."""
    evidence = await store.counted(tx, rollout)
    values: dict[str, Any] = {
        **over(tx, rollout, evidence, to=rollout.step),
        "outcome": outcome,
        "reason": why.reason,
        "message": why.message,
        "fix": why.fix,
        "ended_at_ms": tx.now_ms,
        "ended_by": by,
        "paused_at_ms": None,
        "paused_by": None,
    }
    await store.change(tx, rollout, values)
    await store.forget_counts(tx, rollout.deployment_id)
    if outcome is not Outcome.COMPLETED:
        await trials.withdraw_trials(tx, rollout.deployment_id)
    await tell(tx, rollout)
    await log.noted(tx, deployment, STARTED, why.reason, why.message)


async def complete(tx: Tx, view: View) -> None:
    """Note that the newest revision has all of the traffic."""
    if view.rollout is not None and view.rollout.open:
        said = f"Revision {view.rollout.number} has all of the traffic."
        why = Trouble("Completed", said, None)
        await end(tx, view.deployment, view.rollout, Outcome.COMPLETED, why)


async def tell(tx: Tx, rollout: Rollout) -> None:
    """Let the gateways hear of both targets."""
    await revision.bump(tx, "target", rollout.deployment_id)
    await revision.bump(tx, "target", rollout.target)


def over(tx: Tx, rollout: Rollout, evidence: Evidence, *, to: int) -> dict[str, Any]:
    """Return what is written when a step is over: what was counted in it, and the next one."""
    values: dict[str, Any] = {"step": to, "since_ms": None, "base": evidence}
    if rollout.begun_at_ms is not None:
        former = rollout.stretches[-1].until_ms if rollout.stretches else rollout.begun_at_ms
        since = rollout.since_ms if rollout.since_ms is not None else former
        counted = evidence.since(rollout.base)
        stretch = Stretch(rollout.step, since, tx.now_ms, counted)
        values["stretches"] = (*rollout.stretches, stretch)
    return values
