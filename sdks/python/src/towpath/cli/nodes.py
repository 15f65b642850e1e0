"""`towpath nodes`."""

import click

from towpath.cli import listing, output
from towpath.cli.group import Noun
from towpath.cli.output import Column
from towpath.cli.session import Session, json_option, limit_option, session, watch_option


@click.group(cls=Noun, short_help="Show the machines that models run on.")
def command() -> None:
    """Show the machines that models run on."""


@command.command("list")
@limit_option
@json_option
@watch_option
@session
def list_(current: Session, limit: int, as_json: bool) -> None:
    """List nodes."""
    listing.page(
        current.client().nodes.list(limit=limit),
        [
            Column("node", flexible=True),
            Column("cores", right=True),
            Column("memory", right=True),
            Column("seen"),
            Column("id"),
        ],
        lambda one: [
            one.name,
            str(one.cores),
            output.bytes_size(one.memory_bytes),
            output.ago(one.seen_at),
            one.id,
        ],
        as_json=as_json,
        empty="No node has reported yet.",
        then="What runs on them: `towpath deployments`",
    )


@command.command()
@click.argument("node")
@json_option
@session
def show(current: Session, node: str, as_json: bool) -> None:
    """Show one node."""
    listing.resource(current.client().nodes.get(node), as_json=as_json)
