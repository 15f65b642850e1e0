"""`towpath deployments rollout`: how a newer revision takes over, and what can be done with it."""

import click

from towpath import Towpath
from towpath.cli import output
from towpath.cli.session import Session, environment_option, json_option, session, watch_option
from towpath.types import Environment, Rollout, RolloutEvidence, RolloutStage

ACTS = ("pause", "resume", "finish", "abort")


@click.command()
@click.argument("deployment")
@click.argument("act", required=False, type=click.Choice(ACTS))
@environment_option(None)
@json_option
@watch_option
@session
def rollout(
    current: Session,
    deployment: str,
    act: str | None,
    environment: Environment | None,
    as_json: bool,
) -> None:
    """
    Show how a newer revision takes over; pause, resume, finish or abort it.

    `finish` skips the steps that are left, `abort` rolls back now.
    """
    client = current.client()
    if act is None:
        found = client.deployments.rollout(deployment, environment=environment)
    else:
        found = done(client, act, deployment, environment)
    if as_json:
        output.document(found.to_dict())
        return
    for line in lines(found):
        output.data(line)
    output.note()
    output.note(advice(found))


def done(client: Towpath, act: str, deployment: str, environment: Environment | None) -> Rollout:
    """Do something with it."""
    of = client.deployments
    ways = (of.pause_rollout, of.resume_rollout, of.finish_rollout, of.abort_rollout)
    way = dict(zip(ACTS, ways, strict=True))[act]
    return way(deployment, environment=environment) if environment else way(deployment)


def lines(found: Rollout) -> list[str]:
    """Write where it stands, each step with what was counted in it."""
    state = found.state.replace("_", " ")
    to = f"{found.name} → {found.environment}: revision {found.deployment_revision}"
    return [
        f"{to} {state}    {found.id}",
        *(step(found, stage) for stage in found.stages),
        f"  {output.clean(found.message)}",
        *([f"  fix: {output.clean(found.fix)}"] if found.fix else []),
    ]


def step(found: Rollout, stage: RolloutStage) -> str:
    """Write one step."""
    over = stage.evidence is not None
    bad = over and found.state in {"rolled_back", "aborted"} and stage.step == found.step
    there = stage.step == found.step and found.ended_at is None
    mark = "✗" if bad else "✓" if over else "▸" if there else "·"
    what = f"{stage.weight} %" if stage.weight else f"copies of {stage.shadow_percent} %"
    hold = "" if stage.hold_ms is None else f" for {output.took(stage.hold_ms)}"
    counted = f"    {numbers(stage.evidence)}" if stage.evidence is not None else ""
    return f"  {mark} {what}{hold}{counted}".rstrip()


def numbers(found: RolloutEvidence) -> str:
    """Write what was counted in a step."""
    copies = not found.calls and found.copies
    calls = found.copies if copies else found.calls
    failed = found.copies_failed if copies else found.failed
    p95 = found.copies_p95_ms if copies else found.p95_ms
    said = f"{failed} of {calls} {'copies' if copies else 'calls'} failed"
    if p95 is not None:
        serving = found.serving_p95_ms
        beside = f" (serving: {output.took(serving)})" if serving is not None else ""
        said += f", p95 {output.took(p95)}{beside}"
    if found.compared:
        said += f", {found.different} of {found.compared} answers differ"
    return said


def advice(found: Rollout) -> str:
    """Say what can be done next."""
    command = f"towpath deployments rollout {found.name}"
    if found.ended_at is not None:
        return f"All revisions: `towpath deployments history {found.name}`"
    other = "resume" if found.state == "paused" else "pause"
    return f"Next: `{command} {other}`; or `finish`, `abort`"
