"""`towpath diagnose NAME`: why a deployment is not ready, in a sentence, and what to do."""

from datetime import UTC, datetime

import click

from towpath.cli import output
from towpath.cli.deployments import verb
from towpath.cli.session import Session, environment_option, json_option, session
from towpath.types import Condition, Deployment, Environment


@click.command(short_help="Say why a deployment is not ready, and what to do.")
@click.argument("deployment")
@environment_option(None)
@json_option
@session
def command(
    current: Session, deployment: str, environment: Environment | None, as_json: bool
) -> int:
    """Say in a sentence why a deployment is not ready, and what to do; exit code 1 if it is not."""
    found = current.client().deployments.get(deployment, environment=environment)
    ready = found.answers
    blocking = None if ready else holds_up(found)
    if as_json:
        output.document(
            {
                "deployment": found.id,
                "phase": found.phase,
                "condition": blocking.to_dict() if blocking else None,
                "sentence": sentence(found, blocking, datetime.now(UTC)),
                "fix": blocking.fix if blocking else None,
            }
        )
        return 0 if ready else 1
    output.data(sentence(found, blocking, datetime.now(UTC)))
    if ready:
        output.note(f'Call it: `towpath {verb(found)} {found.name} "…"`')
        return 0
    logs = f"logs: towpath logs {found.name}"
    fix = blocking.fix if blocking and blocking.status == "False" else None
    output.data(f"→ {output.clean(fix.rstrip('.'))}; {logs}" if fix else f"→ {logs}")
    return 1


def holds_up(found: Deployment) -> Condition | None:
    """Return the condition that it waits for: bad news first, else the first that is open."""
    bad = (one for one in found.conditions if one.status == "False")
    late = (one for one in found.conditions if one.status == "Unknown")
    return next(bad, None) or next(late, None)


def sentence(found: Deployment, blocking: Condition | None, now: datetime) -> str:
    """Say it."""
    if blocking is None and found.phase == "Idle":
        return (
            f"{found.name} sleeps in {found.environment}: nobody asked for a while, and the first "
            "call wakes it."
        )
    if blocking is None:
        return (
            f"{found.name} is {found.phase.lower()} in {found.environment}: "
            f"{found.replicas_ready} of {found.replicas_wanted} replicas, "
            f"revision {found.serving_revision} takes the traffic."
        )
    since = f" for {age(blocking.changed_at, now)}" if blocking.changed_at else ""
    what = output.clean((blocking.message or blocking.reason or "").strip()).rstrip(".")
    serving = found.serving_revision
    still = f" Revision {serving} still takes the traffic." if serving else ""
    doing = "Not ready" if blocking.status == "False" else "On its way"
    return f"{doing}{since}: {blocking.type}: {what}.{still}"


def age(since: datetime, now: datetime) -> str:
    """Write how long ago something was."""
    seconds = max(0, int((now - since).total_seconds()))
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"
