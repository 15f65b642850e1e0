"""
Whether a newer revision goes on: a pure function of what was declared and what was counted.

A step is judged by its own calls alone, so that a good start does not hide what comes later.
"""

import enum
from dataclasses import dataclass

from towpath_server.domains.deployments.models import View
from towpath_server.domains.deployments.models.rollout import Evidence, Plan, Rollout
from towpath_server.domains.deployments.service.rollouts import words

FAILS = 5
"""So many calls, all failed, are enough below `minimumCalls`: gateways say so at once."""


class Kind(enum.StrEnum):
    """What is to be done."""

    BEGIN = "begin"
    """It has proved itself: it may get calls."""
    HOLD = "hold"
    """All replicas of the step are there: it comes into force."""
    NEXT = "next"
    """The step was watched for its time."""
    COMPLETE = "complete"
    """It gets all of the traffic."""
    BACK = "back"
    """What serves goes on alone."""


@dataclass(frozen=True)
class Trouble:
    """What is wrong with a revision, beside what its calls say."""

    reason: str
    message: str
    fix: str | None


@dataclass(frozen=True)
class Move:
    """What is to be done, and why."""

    kind: Kind
    why: Trouble | None = None


def decide(
    view: View, evidence: Evidence, trouble: Trouble | None, *, proved: bool, now_ms: int
) -> Move | None:
    """
    Say what is to be done with an open rollout; none: it is watched on.

    Args:
        evidence: What was counted since the step came into force.
        proved: Whether smoke tests and gates are passed.
    """
    rollout = view.rollout
    if rollout is None or not rollout.open:
        return None
    trouble = trouble or _judged(view, rollout, evidence)
    if trouble is not None:
        return Move(Kind.BACK, trouble)
    sides = view.sides
    if rollout.begun_at_ms is None:
        ready = view.able and proved and not rollout.paused
        return Move(Kind.BEGIN) if ready else None
    stage = rollout.stage
    if rollout.since_ms is not None and stage is not None:
        over = not rollout.paused and rollout.held_ms(now_ms) >= stage.hold_ms
        return Move(Kind.NEXT) if over else None
    if rollout.paused or sides.ready < rollout.aim(sides):
        return None
    return Move(Kind.COMPLETE if rollout.last else Kind.HOLD)


def _judged(view: View, rollout: Rollout, evidence: Evidence) -> Trouble | None:
    if rollout.begun_at_ms is None:
        return None
    shadows = rollout.stage is not None and rollout.stage.shadows
    found = over(rollout.plan, evidence, shadows=shadows)
    if found is None:
        return None
    what, fix = found
    where = words.place(rollout)
    message = f"At {where}, {what}."
    return Trouble("RolledBack", message, fix.replace("NAME", view.deployment.name))


def over(plan: Plan, evidence: Evidence, *, shadows: bool) -> tuple[str, str] | None:
    """Return which limit the calls of a step are above and what to do; none: none is."""
    limits = plan.limits
    calls, failed = evidence.calls(shadows=shadows), evidence.failures(shadows=shadows)
    enough = calls >= plan.minimum_calls
    always = calls >= FAILS and failed >= calls
    if limits.error_rate is not None and calls and (enough or always):
        rate = failed / calls
        if rate > limits.error_rate:
            what = "copies" if shadows else "calls"
            said = f"{round(failed)} of {calls} {what} failed ({rate:.1%}, and the limit is "
            return f"{said}{limits.error_rate:.1%})", _LOG
    p95 = evidence.p95_ms(shadows=shadows)
    if limits.p95_ms is not None and enough and p95 is not None and p95 > limits.p95_ms:
        other = evidence.stable_p95_ms
        beside = f" (serving: {words.span(other)})" if other is not None else ""
        said = f"p95 of {calls} calls is {words.span(p95)}{beside}, and the limit is "
        return f"{said}{words.span(limits.p95_ms)}", _SLOW
    mine = evidence.candidate
    if limits.differences is not None and mine.compared >= plan.minimum_calls:
        part = mine.different / mine.compared
        if part > limits.differences:
            where = words.paths(evidence) or "their whole"
            said = f"{mine.different} of {mine.compared} answers differ from the serving ones "
            said += f"({part:.1%}, and the limit is {limits.differences:.1%}), at {where}"
            return said, _DIFFERENT
    return None


_LOG = "Its log says why: `towpath logs NAME`; correct the model, and deploy it again."
_SLOW = (
    "Make the model faster, give it more of the machine, or raise `rollout.rollbackOn.p95Latency`; "
    "then deploy it again."
)
_DIFFERENT = (
    "If it is meant to answer otherwise, deploy it again without `rollout.rollbackOn.differences`; "
    "else correct the model."
)
