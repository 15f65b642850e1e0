"""Queries of nodes."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import Row, select, update

from towpath_server.adapters.compute import Capacity, Gpu, GpuUse, Isolation, Use
from towpath_server.core import ids, queries
from towpath_server.core.db import Tx
from towpath_server.core.paging import Window
from towpath_server.domains.nodes.models import Holder, Node
from towpath_server.domains.nodes.tables import nodes


async def insert(tx: Tx, node: Node) -> None:
    """Add a node."""
    await tx.execute(nodes.insert().values(**asdict(node)))


async def find(tx: Tx, ref: str) -> Node | None:
    """Find a node by id or name."""
    column = nodes.c.id if ids.is_id(ref, "nod") else nodes.c.name
    row = (await tx.execute(select(nodes).where(column == ref))).first()
    return _node(row) if row else None


async def page(tx: Tx, window: Window) -> list[Node]:
    """List one node more than the window has."""
    rows = await tx.execute(queries.windowed(select(nodes), window, nodes.c.id))
    return [_node(row) for row in rows]


async def change(tx: Tx, node: Node, machine: Capacity) -> None:
    """Note that the machine is another one than before."""
    values = {**asdict(machine), "seen_at_ms": tx.now_ms}
    await queries.change(tx, nodes, node.id, node.revision, values)


async def seen(tx: Tx, node: Node, use: Use, holders: Mapping[str, Holder]) -> None:
    """Note that the node was heard of, and its use; that is no change of the node itself."""
    values = {
        "seen_at_ms": tx.now_ms,
        "use": asdict(use),
        "holders": {replica: asdict(holder) for replica, holder in holders.items()},
    }
    await tx.execute(update(nodes).where(nodes.c.id == node.id).values(values))


def _node(row: Row[Any]) -> Node:
    values = row._asdict()
    values["gpus"] = tuple(Gpu(**gpu) for gpu in values["gpus"] or ())
    values["isolation"] = Isolation(**(values["isolation"] or {"mode": "off"}))
    use = {**(values["use"] or {})}
    use["gpus"] = {uuid: GpuUse(**one) for uuid, one in use.get("gpus", {}).items()}
    values["use"] = Use(**use)
    values["holders"] = {
        replica: Holder(**one) for replica, one in (values["holders"] or {}).items()
    }
    return Node(**values)
