"""Nodes: a machine that says it is there, and one that has fallen silent."""

from platform_api import Api

from towpath_server.adapters.compute import Capacity
from towpath_server.core.clock import FixedClock
from towpath_server.core.db import Database
from towpath_server.domains.nodes import service as nodes

MACHINE = Capacity("gpu-7", cores=8, threads=6, memory_bytes=64 << 30)


async def _beat(db: Database, machine: Capacity = MACHINE) -> None:
    async with db.write() as tx:
        await nodes.heartbeat(tx, machine)


async def test_a_machine_is_alive_until_it_falls_silent(
    db: Database, api: Api, clock: FixedClock
) -> None:
    await _beat(db)
    await _beat(db)
    fresh = (await api.get("/nodes"))["items"]
    clock.advance(seconds=60)
    silent = await api.get("/nodes/gpu-7")
    await _beat(db)
    again = await api.get("/nodes/gpu-7")

    assert [(node["name"], node["alive"]) for node in fresh] == [("gpu-7", True)]
    assert (silent["alive"], again["alive"]) == (False, True)
    assert again["revision"] == 1


async def test_a_machine_that_changed_is_noted(db: Database, api: Api) -> None:
    await _beat(db)
    await _beat(db, Capacity("gpu-7", cores=16, threads=6, memory_bytes=64 << 30))

    node = await api.get("/nodes/gpu-7")
    audit = await api.get("/audit")

    assert (node["cores"], node["revision"]) == (16, 2)
    assert {event["action"] for event in audit["items"]} >= {"node.joined", "node.changed"}


def test_this_machine_can_be_looked_at() -> None:
    machine = nodes.this_machine(3)

    assert machine.name
    assert machine.threads == 3
    assert machine.memory_bytes > 0
