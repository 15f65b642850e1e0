"""`towpath logs`."""

import click

from towpath.cli import output
from towpath.cli.session import Session, environment_option, json_option, session
from towpath.types import Environment


@click.command(short_help="Print the log of a deployment.")
@click.argument("deployment")
@click.option("--replica", metavar="ID", help="One replica alone, by id or number.")
@click.option(
    "--tail", type=click.IntRange(1, 1_000), default=100, show_default=True, help="Lines."
)
@environment_option(None)
@json_option
@session
def command(
    current: Session,
    *,
    deployment: str,
    replica: str | None,
    tail: int,
    environment: Environment | None,
    as_json: bool,
) -> None:
    """Print the last lines that the model servers of a deployment wrote."""
    found = current.client().deployments.logs(
        deployment, environment=environment, replica=replica, tail=tail
    )
    if as_json:
        output.document(found.to_dict())
        return
    for one in found.items:
        prefix = f"[{one.ordinal}] " if len(found.items) > 1 else ""
        for line in one.lines:
            output.data(f"{prefix}{output.clean(line)}")
    if not any(one.lines for one in found.items):
        output.note(f"Nothing was written yet. Its steps: `towpath deployments show {deployment}`")
