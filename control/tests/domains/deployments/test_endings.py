"""Replicas that take their time to end: nothing waits for them."""

import asyncio
from typing import Any

import pytest
from machines import WAIT_S
from worlds import World

from towpath_server.domains.deployments.reconcile import Reconciler


class Reluctant:
    """A machine whose replicas end when they are told to go."""

    def __init__(self, real: Any) -> None:
        self.real = real
        self.go = asyncio.Event()
        self.asked = 0
        self.fails: Exception | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)

    async def remove(self, replica: str) -> None:
        self.asked += 1
        await self.go.wait()
        if self.fails is not None:
            raise self.fails
        await self.real.remove(replica)


@pytest.fixture
async def slow(world: World) -> Reluctant:
    machine = Reluctant(world.machine.replicas)
    world.reconciler = Reconciler(world.db, world.facilities, machine)
    return machine


async def test_a_step_does_not_wait_for_a_replica_that_ends_slowly(
    world: World, slow: Reluctant
) -> None:
    over: asyncio.Queue[str] = asyncio.Queue()
    world.reconciler.endings.over = over.put_nowait
    made = await world.deploy()
    ready = await world.until(made["id"], lambda found: found["phase"] == "Ready")
    await world.api.call("DELETE", f"/deployments/{made['id']}", status=204)

    while await world.reconciler.step(made["id"]):
        pass
    world.clock.advance(seconds=5)
    for _ in range(3):
        assert not await world.reconciler.step(made["id"])
    held = world.machine.replicas.ids()
    slow.go.set()
    ended = await asyncio.wait_for(over.get(), WAIT_S)
    while await world.reconciler.step(made["id"]):
        pass

    replica = ready["replicas"][0]["id"]
    assert held == {replica}
    assert (ended, slow.asked) == (replica, 1)
    assert world.machine.replicas.ids() == set()


async def test_what_kept_a_replica_from_ending_is_told_and_tried_again(
    world: World, slow: Reluctant
) -> None:
    made = await world.deploy()
    await world.until(made["id"], lambda found: found["phase"] == "Ready")
    await world.api.call("DELETE", f"/deployments/{made['id']}", status=204)
    while await world.reconciler.step(made["id"]):
        pass
    world.clock.advance(seconds=5)
    slow.fails = OSError("the folder is busy")
    slow.go.set()

    with pytest.raises(OSError, match="the folder is busy"):
        await world.reconciler.step(made["id"])
    slow.fails = None
    while await world.reconciler.step(made["id"]):
        pass

    assert slow.asked == 2
    assert world.machine.replicas.ids() == set()
