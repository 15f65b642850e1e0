"""A model on its way to the machine: told, not waited for."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from worlds import World

from towpath_server.adapters.objectstore.errors import StorageFailed
from towpath_server.adapters.objectstore.store import Progress, StoredFile
from towpath_server.domains.deployments.reconcile import Reconciler


class Slow:
    """Brings a model when it is told to, as a store far away."""

    def __init__(self, real: Any) -> None:
        self.real = real
        self.go = asyncio.Event()
        self.asked = 0
        self.fails: Exception | None = None

    async def tree(self, files: Sequence[StoredFile], *, progress: Progress | None = None) -> Path:
        self.asked += 1
        if progress is not None:
            progress(3)
        await self.go.wait()
        if self.fails is not None:
            raise self.fails
        return await self.real.tree(files)


def fetched(found: Any) -> tuple[str, str, str]:
    one = next(one for one in found["conditions"] if one["type"] == "Fetched")
    return one["status"], one["reason"], one["message"]


def far_away(world: World) -> Slow:
    store = Slow(world.facilities.artifacts)
    facilities = replace(world.facilities, artifacts=store)
    world.reconciler = Reconciler(world.db, facilities, world.machine.replicas)
    return store


async def test_a_deployment_says_how_far_its_model_is(world: World) -> None:
    store = far_away(world)
    woken: list[str] = []
    world.reconciler.fetches.arrived = woken.append
    made = await world.deploy()

    await world.settle(made["id"])
    await world.settle(made["id"])
    on_its_way = await world.get()
    store.go.set()
    done = await world.until(made["id"], lambda found: found["phase"] == "Ready")

    assert fetched(on_its_way)[:2] == ("Unknown", "Fetching")
    assert "0 of 0 MB are on this machine" in fetched(on_its_way)[2]
    assert on_its_way["phase"] == "Pending"
    assert woken == [made["id"]]
    assert fetched(done)[:2] == ("True", "Verified")


async def test_a_fetch_that_fails_says_why_and_is_tried_again(world: World) -> None:
    store = far_away(world)
    store.fails = StorageFailed(cause="it is away", where="s3://models")
    store.go.set()
    made = await world.deploy()

    await world.settle(made["id"])
    failed = await world.get()
    store.fails = None
    await world.until(made["id"], lambda found: found["phase"] == "Ready")

    assert fetched(failed)[:2] == ("False", "ArtifactUnavailable")
    assert "`s3://models` cannot be read" in fetched(failed)[2]
    assert failed["phase"] == "Failed"
