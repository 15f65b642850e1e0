"""`towpath logs`."""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import click

from towpath.cli import output
from towpath.cli.session import Session, environment_option, json_option, session
from towpath.errors import APIConnectionError
from towpath.transport import Response
from towpath.types import Environment, ReplicaLog

# Before a live tail that was cut off begins anew.
AGAIN_S = 1.0


@click.command(short_help="Print the log of a deployment.")
@click.argument("deployment")
@click.option("--replica", metavar="ID", help="One replica alone, by id or number.")
@click.option(
    "--tail", type=click.IntRange(1, 1_000), default=100, show_default=True, help="Lines."
)
@click.option("--since", metavar="TIME", help="Only since then: `10m`, or a time.")
@click.option("--search", metavar="TEXT", help="Only lines that contain this.")
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
    since: str | None,
    search: str | None,
    follow: bool,
    environment: Environment | None,
    as_json: bool,
) -> None:
    """Print the last lines that the model servers of a deployment wrote; with -f, go on."""
    client = current.client()
    wanted: dict[str, Any] = {"environment": environment, "replica": replica, "search": search}
    if follow:

        def begin(after: str | None) -> Response:
            return client.deployments.follow(deployment, **wanted, tail=tail, since=after or since)

        go_on(current, begin, as_json=as_json)
        return
    found = client.deployments.logs(deployment, **wanted, tail=tail, since=since)
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


def go_on(current: Session, begin: Callable[[str | None], Response], *, as_json: bool) -> None:
    """Write what comes until interrupted or the deployment is gone; begin anew what is cut off."""
    since: str | None = None
    while True:
        for one in lines(begin(since)):
            since = one["at"]
            if as_json:
                output.data(json.dumps(one))
            else:
                output.data(f"[{one['ordinal']}] {output.clean(one['line'])}")
        current.sleep(AGAIN_S)


def lines(response: Response) -> Iterator[dict[str, Any]]:
    """Read one JSON object a line; a connection that breaks off ends them."""
    rest = b""
    try:
        for chunk in response.chunks():
            *whole, rest = (rest + chunk).split(b"\n")
            for line in whole:
                if line:
                    yield json.loads(line)
    except APIConnectionError:
        return
    finally:
        response.close()
