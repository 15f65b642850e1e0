"""From a manifest to processes and back: every step twice, and with a crash between any two."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from machines import alive, kill
from worlds import World, condition

from towpath_server.core.money import Amounts
from towpath_server.domains.deployments import service as deployments
from towpath_server.domains.deployments.reconcile import loop
from towpath_server.domains.prices import service as prices

MODES = ["once", "twice", "crash"]


def _ready(deployment: Any) -> bool:
    return deployment["phase"] == "Ready"


@pytest.mark.parametrize("mode", MODES)
async def test_a_manifest_becomes_a_ready_deployment(world: World, mode: str) -> None:
    world.mode = mode
    made = await world.deploy()
    assert (made["phase"], made["revision"]) == ("Pending", 1)

    done = await world.until(made["id"], _ready)

    assert [(c["type"], c["status"]) for c in done["conditions"]] == [
        ("Checked", "True"),
        ("Fetched", "True"),
        ("Provisioned", "True"),
        ("Loaded", "True"),
        ("SmokeTested", "True"),
        ("Evaluated", "True"),
        ("Exposed", "True"),
    ]
    target = await world.target(made["id"])
    assert target is not None
    assert [replica.id for replica in target.replicas] == [done["replicas"][0]["id"]]
    assert target.replicas[0].address.startswith("unix:/")
    assert target.model == {
        "name": "triage",
        "version": 1,
        "digest": done["model"]["digest"],
    }
    assert target.operations == ("predict",)


async def test_a_node_says_which_deployment_has_its_gpus(world: World) -> None:
    made = await world.deploy(resources={"limits": {"nvidia.com/gpu": 1}})
    done = await world.until(made["id"], _ready)
    beating = loop(world.db, replace(world.facilities, servers=world.machine.replicas), holder="a")

    await beating.round()

    node = (await world.api.get("/nodes"))["items"][0]
    held = {one["uuid"]: one["held_by"] for one in node["gpus"] if one["held_by"]}
    assert held == {
        done["replicas"][0]["gpus"][0]: {
            "replica": done["replicas"][0]["id"],
            "deployment": made["id"],
            "name": "triage",
            "environment": "sandbox",
        }
    }
    assert node["disk_free_bytes"] > 0


@pytest.mark.parametrize("mode", MODES)
async def test_a_new_revision_takes_over_only_once_it_is_ready(world: World, mode: str) -> None:
    world.mode = mode
    made = await world.deploy()
    first = await world.until(made["id"], _ready)
    await world.version("weights of the second version")

    second = await world.deploy(model={"uri": "models:/triage/2"})
    before = await world.target(made["id"])
    done = await world.until(made["id"], _ready)

    assert (second["revision"], second["serving_revision"]) == (2, 1)
    assert second["phase"] == "Progressing"
    assert before is not None
    assert before.model is not None
    assert (before.model["version"], len(before.replicas)) == (1, 1)
    after = await world.target(made["id"])
    assert after is not None
    assert after.model is not None
    assert (after.model["version"], len(after.replicas)) == (2, 1)
    assert after.replicas[0].id != first["replicas"][0]["id"]
    assert done["serving_revision"] == 2
    world.clock.advance(seconds=5)
    await world.settle(made["id"])
    assert [replica["revision"] for replica in (await world.get())["replicas"]] == [2]
    assert len(world.machine.replicas.ids()) == 1


@pytest.mark.parametrize("mode", MODES)
async def test_a_deleted_deployment_leaves_nothing(world: World, mode: str) -> None:
    world.mode = mode
    made = await world.deploy()
    done = await world.until(made["id"], _ready)
    seen = world.machine.replicas.observe(done["replicas"][0]["id"])
    assert seen is not None

    await world.api.call("DELETE", f"/deployments/{made['id']}", status=204)

    left = await world.target(made["id"])
    assert left is not None
    assert (left.replicas, left.callable) == ((), False)
    assert (await world.api.get("/endpoints"))["items"] == []
    assert (await world.get())["phase"] == "Deleting"
    await world.until_gone(made["id"])
    assert await world.target(made["id"]) is None
    assert not alive(seen.pid or 0)
    await world.api.get("/deployments/triage", status=404)
    async with world.db.read() as tx:
        assert await deployments.routed_credentials(tx) == []


async def test_replicas_are_equal_and_as_many_as_declared(world: World) -> None:
    made = await world.deploy(scaling={"minReplicas": 2, "maxReplicas": 2})
    await world.until(made["id"], _ready)

    two = await world.target(made["id"])

    await world.deploy(scaling={"minReplicas": 1})
    await world.settle(made["id"])
    world.clock.advance(seconds=5)
    await world.settle(made["id"])

    one = await world.target(made["id"])
    done = await world.get()
    assert two is not None
    assert one is not None
    assert (len(two.replicas), len(one.replicas)) == (2, 1)
    assert (done["phase"], len(done["replicas"])) == ("Ready", 1)
    assert len(world.machine.replicas.ids()) == 1


async def test_a_change_of_access_or_price_loads_no_model_again(world: World) -> None:
    made = await world.deploy()
    first = await world.until(made["id"], _ready)

    await world.deploy(
        access={"visibility": "team"},
        prices=[{"inputPerMillion": "0.02", "outputPerMillion": "0.08"}],
    )
    second = await world.until(made["id"], _ready)

    assert [r["id"] for r in second["replicas"]] == [r["id"] for r in first["replicas"]]
    assert (second["serving_revision"], second["replicas"][0]["restarts"]) == (2, 0)
    target = await world.target(made["id"])
    async with world.db.read() as tx:
        (price,) = await prices.routed(tx)
    assert target is not None
    assert target.prices == (price.id,)
    assert price.amounts == Amounts(20_000_000, 80_000_000)
    endpoint = (await world.api.get("/endpoints"))["items"][0]
    assert endpoint["access"]["visibility"] == "team"
    assert endpoint["status"] == {"ready": True, "reason": None, "ejected": []}


async def test_a_model_that_crashes_says_why_and_heals(world: World, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.touch()

    made = await world.deploy(runtime={"name": "tiny", "args": [f"--crash-while={broken}"]})
    failed = await world.until(made["id"], lambda d: d["phase"] == "Failed")
    endpoint = (await world.api.get("/endpoints/triage"))["status"]
    broken.unlink()
    healed = await world.until(made["id"], _ready)

    loaded = condition(failed, "Loaded")
    assert (loaded["status"], loaded["reason"]) == ("False", "CrashLoop")
    assert "cannot load the model: bad magic" in loaded["message"]
    assert "towpath logs triage" in loaded["fix"]
    assert endpoint["ready"] is False
    assert "failed" in endpoint["reason"]
    assert condition(healed, "Loaded")["fix"] is None


async def test_a_broken_revision_leaves_the_former_one_serving(
    world: World, tmp_path: Path
) -> None:
    made = await world.deploy()
    await world.until(made["id"], _ready)
    broken = tmp_path / "broken"
    broken.touch()

    await world.deploy(runtime={"name": "tiny", "args": [f"--crash-while={broken}"]})
    worse = await world.until(made["id"], lambda d: d["phase"] == "Degraded")
    target = await world.target(made["id"])
    await world.deploy()
    again = await world.until(made["id"], _ready)

    assert (worse["serving_revision"], worse["revision"]) == (1, 2)
    assert "Revision 1 takes the traffic" in condition(worse, "Exposed")["message"]
    assert target is not None
    assert len(target.replicas) == 1
    assert again["serving_revision"] == 3


async def test_a_killed_replica_leaves_the_table_and_comes_back(world: World) -> None:
    made = await world.deploy()
    done = await world.until(made["id"], _ready)
    replica = done["replicas"][0]["id"]
    seen = world.machine.replicas.observe(replica)
    assert seen is not None

    kill(seen.pid or 0)
    await world.until(made["id"], lambda d: d["replicas"][0]["restarts"] == 1)
    await world.until(made["id"], _ready)

    target = await world.target(made["id"])
    assert target is not None
    assert [one.id for one in target.replicas] == [replica]


async def test_an_artifact_that_is_gone_is_reported(world: World) -> None:
    made = await world.deploy()
    shutil.rmtree(world.machine.folder.artifacts)

    await world.settle(made["id"])

    fetched = condition(await world.get(), "Fetched")
    assert (fetched["status"], fetched["reason"]) == ("False", "ArtifactUnavailable")
    assert "model.bin" in fetched["message"]
    assert fetched["fix"]


async def test_replicas_that_nobody_declared_are_ended(world: World) -> None:
    made = await world.deploy()
    done = await world.until(made["id"], _ready)
    replica = done["replicas"][0]["id"]
    async with world.db.write() as tx:
        view = await deployments.load(tx, made["id"])
        assert view is not None
        await deployments.forget_replica(tx, view.replicas[0])

    stray = await world.reconciler.stray()
    for one in stray:
        await world.reconciler.end_stray(one)

    assert list(stray) == [replica]
    assert world.machine.replicas.ids() == set()


async def test_the_log_of_each_replica_can_be_read(world: World) -> None:
    made = await world.deploy()
    await world.until(made["id"], _ready)

    found = await world.api.get("/deployments/triage/logs?tail=5")
    one = await world.api.get("/deployments/triage/logs?replica=0")
    await world.api.get("/deployments/triage/logs?replica=7", status=404)

    assert found["items"][0]["lines"] == ["starting triage"]
    assert one == found
