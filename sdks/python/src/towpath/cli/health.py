"""`towpath health`."""

import click

from towpath.cli import output
from towpath.cli.output import Column
from towpath.cli.session import Session, json_option, session, watch_option
from towpath.errors import APIStatusError, ConfigurationError
from towpath.types import Deployment, Endpoint, Health


@click.command(short_help="Show whether the platform is well.")
@json_option
@watch_option
@session
def command(current: Session, as_json: bool) -> int:
    """Show whether the platform can take requests, and what is served; fails when it cannot."""
    health = current.client(keyless=True).health()
    found = deployments(current)
    if as_json:
        served = None if found is None else [one.to_dict() for one in found]
        avoided = [one.to_dict() for one in ejected(current)]
        output.document({**health.to_dict(), "deployments": served, "ejected": avoided})
        return 0 if health.ready else 1
    address = current.credentials(keyless=True).address
    output.data(f"{'✓ ready' if health.ready else '✗ not ready'}  {address}")
    for reason in reasons(health):
        output.data(f"  {output.clean(reason)}")
    if found:
        output.data("")
        output.table(
            [
                Column("deployment"),
                Column("environment"),
                Column("phase"),
                Column("because", flexible=True),
            ],
            [[one.name, one.environment, one.phase, because(one)] for one in found],
        )
    avoided = ejected(current)
    if avoided:
        output.data("")
        output.table(
            [Column("endpoint"), Column("environment"), Column("ejected", flexible=True)],
            [[one.name, one.environment, ", ".join(one.status.ejected or ())] for one in avoided],
        )
        output.note()
        output.note(f"Why: `towpath endpoints health {avoided[0].name}`")
    output.note()
    output.note(
        "All in order. Next: `towpath models`" if health.ready else "Next: `towpath doctor`"
    )
    return 0 if health.ready else 1


def reasons(health: Health) -> list[str]:
    """Return why the platform is not ready."""
    listed = health.to_dict().get("reasons", [])
    return [str(one.get("message", one)) if isinstance(one, dict) else str(one) for one in listed]


def deployments(current: Session) -> list[Deployment] | None:
    """Return what is served; none where this key may not see it."""
    try:
        return list(current.client(max_retries=0).deployments.list(limit=100).first().items)
    except (APIStatusError, ConfigurationError):
        return None


def ejected(current: Session) -> list[Endpoint]:
    """Return the endpoints with a target that some gateway avoids, as far as this key sees them."""
    try:
        found = current.client(max_retries=0).endpoints.list(limit=1_000).first().items
    except (APIStatusError, ConfigurationError):
        return []
    return [one for one in found if one.status.ejected]


def because(deployment: Deployment) -> str:
    """Return what keeps a deployment from being ready."""
    if deployment.answers:
        return ""
    waiting = (one for one in deployment.conditions if str(one.status).lower() != "true")
    first = next(waiting, None)
    if first is None:
        return ""
    text = first.message or first.reason or ""
    return f"{first.type}: {text.partition(chr(10))[0]}"
