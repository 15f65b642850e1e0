"""`towpath nodes`."""

from collections import Counter

import click

from towpath.cli import listing, output
from towpath.cli.group import Noun
from towpath.cli.output import Column
from towpath.cli.session import Session, json_option, limit_option, session, watch_option
from towpath.types import Node


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
            Column("gpus"),
            Column("isolation"),
            Column("seen"),
            Column("id"),
        ],
        lambda one: [
            one.name,
            str(one.cores),
            output.bytes_size(one.memory_bytes),
            gpus(one),
            isolation(one),
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
    """Show one node: what it has, and how model servers are shut in there."""
    listing.resource(current.client().nodes.get(node), as_json=as_json)


def gpus(node: Node) -> str:
    """Count GPUs by class."""
    classes = Counter(gpu.gpu_class for gpu in node.gpus)
    return ", ".join(f"{count} × {name}" for name, count in sorted(classes.items())) or "none"


def isolation(node: Node) -> str:
    """Say whether model servers are shut in, or which measures are missing."""
    if node.isolation.mode == "off":
        return "off"
    missing = ", ".join(sorted(node.isolation.missing))
    return f"without {missing}" if missing else "full"
