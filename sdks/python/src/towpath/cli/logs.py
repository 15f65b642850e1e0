"""`towpath logs`."""

import json
from collections.abc import Callable, Sequence

import click

from towpath.cli import output
from towpath.cli.session import Session, environment_option, json_option, session
from towpath.types import DeploymentLogs, Environment, ReplicaLog

# A live tail asks this often, for as many lines as the API gives at once.
FOLLOW_S = 1.0
MOST_LINES = 1_000
# Where the former lines end is found by so many of them.
KEPT_LINES = 50


@click.command(short_help="Print the log of a deployment.")
@click.argument("deployment")
@click.option("--replica", metavar="ID", help="One replica alone, by id or number.")
@click.option(
    "--tail", type=click.IntRange(1, 1_000), default=100, show_default=True, help="Lines."
)
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes.")
@environment_option(None)
@json_option
@session
def command(
    current: Session,
    *,
    deployment: str,
    replica: str | None,
    tail: int,
    follow: bool,
    environment: Environment | None,
    as_json: bool,
) -> None:
    """Print the last lines that the model servers of a deployment wrote; with -f, go on."""
    client = current.client()

    def read(lines: int) -> DeploymentLogs:
        return client.deployments.logs(
            deployment, environment=environment, replica=replica, tail=lines
        )

    found = read(tail)
    if follow:
        go_on(current, found, read, as_json=as_json)
        return
    if as_json:
        output.document(found.to_dict())
        return
    show(found.items, several=len(found.items) > 1)
    if not any(one.lines for one in found.items):
        output.note(f"Nothing was written yet. Its steps: `towpath deployments show {deployment}`")


def show(items: Sequence[ReplicaLog], *, several: bool) -> None:
    """Write lines, with the number of their replica where there are several."""
    for one in items:
        prefix = f"[{one.ordinal}] " if several else ""
        for line in one.lines:
            output.data(f"{prefix}{output.clean(line)}")


def go_on(
    current: Session, found: DeploymentLogs, read: Callable[[int], DeploymentLogs], *, as_json: bool
) -> None:
    """Write what comes until interrupted; replicas that start meanwhile are followed too."""
    seen: dict[str, list[str]] = {}
    while True:
        for one in found.items:
            fresh = later(seen.get(one.replica, []), one.lines)
            seen[one.replica] = one.lines[-KEPT_LINES:]
            for line in fresh:
                if as_json:
                    output.data(json.dumps({"replica": one.replica, "line": line}))
                else:
                    output.data(f"[{one.ordinal}] {output.clean(line)}")
        current.sleep(FOLLOW_S)
        found = read(MOST_LINES)


def later(former: list[str], now: list[str]) -> list[str]:
    """
    Return the lines that were written after `former`, the end of the log a moment ago.

    All of them are new where nothing of the former ones is left.
    """
    for start in range(len(former)):
        kept = former[start:]
        for at in range(len(now) - len(kept), -1, -1):
            if now[at : at + len(kept)] == kept:
                return now[at + len(kept) :]
    return now
