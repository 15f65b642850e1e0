"""What is said of a rollout: where it stands, and what was counted."""

from towpath_server.domains.deployments.models import View
from towpath_server.domains.deployments.models.rollout import Evidence, Rollout


def progress(view: View, rollout: Rollout, evidence: Evidence, now_ms: int) -> str:
    """Say in a sentence where an open rollout stands, with its numbers."""
    stage = rollout.stage
    if rollout.begun_at_ms is None:
        said = f"Revision {view.deployment.serving} takes the traffic until all of the above hold."
        return f"Paused by {rollout.paused_by}. {said}" if rollout.paused else said
    shadows = stage is not None and stage.shadows
    share = f"{rollout.percent(view.sides)} % of the calls"
    if stage is not None and shadows:
        share = f"{stage.shadow_percent} % of the calls are copied"
    left = 0 if stage is None or rollout.since_ms is None else stage.hold_ms
    left -= rollout.held_ms(now_ms)
    if rollout.paused:
        until = f", paused by {rollout.paused_by}"
    elif rollout.since_ms is not None:
        until = f" for {span(max(0, left))} more"
    else:
        aim = rollout.aim(view.sides)
        until = f" until {aim} replica{'s are' if aim > 1 else ' is'} healthy"
    return f"{place(rollout)}: {share}{until}; {numbers(evidence, shadows=shadows)}."


def place(rollout: Rollout) -> str:
    """Name the step: `step 1 of 2`, `shadow`, or `last step`."""
    stages = rollout.plan.stages
    if rollout.last:
        return "last step"
    if stages[rollout.step].shadows:
        return "shadow"
    shadows = sum(one.shadows for one in stages)
    return f"step {rollout.step - shadows + 1} of {len(stages) - shadows}"


def numbers(evidence: Evidence, *, shadows: bool) -> str:
    """Write what was counted in a stretch of time."""
    mine = evidence.candidate
    calls = evidence.calls(shadows=shadows)
    failed = round(evidence.failures(shadows=shadows))
    what = "copies" if shadows else "calls"
    said = f"{failed} of {calls} {what} failed"
    p95, other = evidence.p95_ms(shadows=shadows), evidence.stable_p95_ms
    if p95 is not None:
        beside = f" (serving: {span(other)})" if other is not None else ""
        said += f", p95 {span(p95)}{beside}"
    if mine.compared:
        said += f", {mine.different} of {mine.compared} answers differ"
    return said


def paths(evidence: Evidence) -> str:
    """Write where answers differ, the commonest first."""
    found = sorted(evidence.candidate.paths.items(), key=lambda one: (-one[1], one[0]))
    return ", ".join(f"`{path}` ({count})" for path, count in found[:3])


def span(ms: float) -> str:
    """Write a length of time in one unit."""
    if ms < 1_000:
        return f"{ms:.0f} ms" if ms >= 1 or ms == 0 else f"{ms:.1f} ms"
    if ms < 10_000:
        return f"{ms / 1_000:.1f} s".replace(".0 s", " s")
    if ms < 60_000:
        return f"{ms / 1_000:.0f} s"
    return f"{ms / 60_000:.0f} m" if ms < 3_600_000 else f"{ms / 3_600_000:.0f} h"
