"""`towpath logs`."""

import click

from towpath.cli import output
from towpath.cli.session import Session, json_option, session


@click.command(short_help="Print the log of a deployment.")
@click.argument("deployment")
@click.option("--replica", type=click.IntRange(0), help="Number of the replica; 0 otherwise.")
@click.option("--lines", type=click.IntRange(1, 10_000), default=200, show_default=True)
@json_option
@session
def command(
    current: Session, deployment: str, replica: int | None, lines: int, as_json: bool
) -> None:
    """Print the end of the log of a deployment's model server."""
    text = current.client().deployments.logs(deployment, replica=replica, lines=lines)
    if as_json:
        output.document({"deployment": deployment, "replica": replica or 0, "text": text})
    elif text:
        output.data(text.rstrip("\n"))
    else:
        output.note(f"The log of `{deployment}` is empty.")
