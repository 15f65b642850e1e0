"""Rules of nodes."""

import socket
from collections.abc import Mapping

import psutil

from towpath_server.adapters.compute import Capacity
from towpath_server.core import ids
from towpath_server.core.access import SYSTEM, Principal, Verb
from towpath_server.core.db import Tx
from towpath_server.core.errors import NotFound
from towpath_server.core.paging import Slice, Window
from towpath_server.domains.audit import service as audit
from towpath_server.domains.nodes import store
from towpath_server.domains.nodes.models import Holder, Node


def this_machine(threads: int) -> Capacity:
    """Look at the machine that this program runs on; GPUs and isolation are the adapter's."""
    return Capacity(
        name=socket.gethostname() or "localhost",
        cores=psutil.cpu_count() or 1,
        threads=threads,
        memory_bytes=psutil.virtual_memory().total,
    )


async def heartbeat(tx: Tx, machine: Capacity, holders: Mapping[str, Holder] | None = None) -> Node:
    """
    Say that a machine is there, and what it is used for; the first time makes its node.

    Args:
        holders: The deployments of the replicas that have GPUs, by the replicas' ids.
    """
    node = await store.find(tx, machine.name)
    if node is None:
        now = tx.now_ms
        node = Node(
            id=ids.new("nod"),
            revision=1,
            created_at_ms=now,
            updated_at_ms=now,
            name=machine.name,
            cores=machine.cores,
            threads=machine.threads,
            memory_bytes=machine.memory_bytes,
            disk_bytes=machine.disk_bytes,
            gpus=machine.gpus,
            isolation=machine.isolation,
            seen_at_ms=now,
        )
        await store.insert(tx, node)
        await _note(tx, node, "joined")
    elif machine != node.capacity:
        await store.change(tx, node, machine)
        await _note(tx, node, "changed")
    await store.seen(tx, node, machine.use, holders or {})
    return node


async def get(tx: Tx, caller: Principal, ref: str) -> Node:
    """
    Return a node by id or name.

    Raises:
        NotFound: There is none that the caller may see.
    """
    node = await store.find(tx, ref)
    if node is None:
        raise NotFound("node", ref)
    caller.require(Verb.READ, "node", ref=ref)
    return node


async def list(tx: Tx, caller: Principal, window: Window) -> Slice[Node]:  # noqa: A001
    """
    List nodes.

    Raises:
        Forbidden: The caller oversees nothing.
    """
    caller.require(Verb.READ, "node")
    return Slice.cut(await store.page(tx, window), window)


async def _note(tx: Tx, node: Node, what: str) -> None:
    await audit.append(
        tx,
        SYSTEM,
        action=f"node.{what}",
        noun="node",
        id=node.id,
        team=None,
        changes={"name": node.name},
    )
