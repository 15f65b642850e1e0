"""`towpath nodes`."""

from collections import Counter

import click

from towpath.cli import listing, output
from towpath.cli.group import Noun
from towpath.cli.output import Column
from towpath.cli.session import Session, json_option, limit_option, session, watch_option
from towpath.types import Gpu, Node


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
            Column("gpus free"),
            Column("disk free", right=True),
            Column("isolation"),
            Column("seen"),
        ],
        lambda one: [
            one.name,
            str(one.cores),
            output.bytes_size(one.memory_bytes),
            gpus(one),
            output.bytes_size(one.disk_free_bytes),
            isolation(one),
            output.ago(one.seen_at),
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
    """Show one node: what it has, who has its GPUs, and how model servers are shut in there."""
    found = current.client().nodes.get(node)
    if as_json:
        output.document(found.to_dict())
        return
    rows = {
        "id": found.id,
        "name": found.name,
        "seen": output.ago(found.seen_at) + ("" if found.alive else ", silent since"),
        "cores": f"{found.cores}, of which model servers share {found.threads}",
        "memory": output.bytes_size(found.memory_bytes),
        "disk": f"{output.bytes_size(found.disk_free_bytes)} free of "
        f"{output.bytes_size(found.disk_bytes)}",
        "artifacts": artifacts(found),
        "isolation": isolation(found, reasons=True),
        "gpus free": gpus(found),
    }
    room = max(map(len, rows))
    for name, value in rows.items():
        output.data(f"{name.ljust(room)}  {output.clean(value)}")
    if found.gpus:
        output.data("")
        output.table(
            [
                Column("gpu", flexible=True),
                Column("class"),
                Column("used", right=True),
                Column("memory", right=True),
                Column("busy", right=True),
                Column("deployment"),
                Column("uuid"),
            ],
            [_row(gpu) for gpu in found.gpus],
        )


def _row(gpu: Gpu) -> list[str]:
    used, busy, by = gpu.used_bytes, gpu.utilisation_percent, gpu.held_by
    whose = "" if by is None else by.replica
    if by is not None and by.name is not None:
        whose = f"{by.name} ({by.environment})"
    return [
        gpu.name,
        gpu.gpu_class,
        "" if used is None else output.bytes_size(used),
        output.bytes_size(gpu.memory_bytes),
        "" if busy is None else f"{busy} %",
        whose or "free",
        gpu.uuid,
    ]


def gpus(node: Node) -> str:
    """Count the GPUs that nobody has, by class."""
    classes = Counter(gpu.gpu_class for gpu in node.gpus)
    free = Counter(gpu.gpu_class for gpu in node.gpus if gpu.held_by is None)
    counted = [f"{free[name]} of {count} {name}" for name, count in sorted(classes.items())]
    return ", ".join(counted) or "none"


def artifacts(node: Node) -> str:
    """Say how much it keeps of models, and how much of that it may."""
    here, most = output.bytes_size(node.artifact_bytes), node.artifact_max_bytes
    return here if most is None else f"{here} of at most {output.bytes_size(most)}"


def isolation(node: Node, *, reasons: bool = False) -> str:
    """Say whether model servers are shut in, or which measures are missing, and why."""
    if node.isolation.mode == "off":
        return "off"
    missing = sorted(node.isolation.missing.items())
    named = ", ".join(f"{name} ({why})" if reasons else name for name, why in missing)
    return f"without {named}" if named else "full"
