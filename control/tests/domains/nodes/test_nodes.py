"""Nodes: a machine that says it is there, and one that has fallen silent."""

from dataclasses import replace

from platform_api import Api

from towpath_server.adapters.compute import Capacity, Gpu, GpuUse, Use
from towpath_server.core.clock import FixedClock
from towpath_server.core.db import Database
from towpath_server.domains.nodes import service as nodes
from towpath_server.domains.nodes.models import Holder

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


async def test_a_node_says_what_its_gpus_are_used_for_and_by_whom(db: Database, api: Api) -> None:
    """What changes all the time makes no other node of it, and no event."""
    gpus = tuple(Gpu(f"GPU-{n}", "NVIDIA L4", 24 << 30, "l4-24gb") for n in range(3))
    held = GpuUse(20 << 30, replica="rep_1", utilisation_percent=97)
    strange = GpuUse(1 << 30, replica="rep_2")
    use = Use({"GPU-0": held, "GPU-1": strange}, 7 << 30, 3 << 30, 9 << 30)
    holders = {"rep_1": Holder("dep_1", "chat", "production")}
    await _beat(db, replace(MACHINE, gpus=gpus))
    async with db.write() as tx:
        await nodes.heartbeat(tx, replace(MACHINE, gpus=gpus, use=use), holders)

    node = await api.get("/nodes/gpu-7")
    audit = await api.get("/audit")

    assert node["revision"] == 1
    assert [one["action"] for one in audit["items"]].count("node.changed") == 0
    assert node["disk_free_bytes"] == 7 << 30
    assert (node["artifact_bytes"], node["artifact_max_bytes"]) == (3 << 30, 9 << 30)
    assert [
        (one["used_bytes"], one["utilisation_percent"], one["held_by"]) for one in node["gpus"]
    ] == [
        (
            20 << 30,
            97,
            {
                "replica": "rep_1",
                "deployment": "dep_1",
                "name": "chat",
                "environment": "production",
            },
        ),
        (
            1 << 30,
            None,
            {"replica": "rep_2", "deployment": None, "name": None, "environment": None},
        ),
        (None, None, None),
    ]


def test_this_machine_can_be_looked_at() -> None:
    machine = nodes.this_machine(3)

    assert machine.name
    assert machine.threads == 3
    assert machine.memory_bytes > 0
