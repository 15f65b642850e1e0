"""Deploying within a quota: what counts, what a refusal says, and that it is exact."""

import asyncio
from typing import Any

import pytest
from worlds import World

from towpath_server.core.clock import FixedClock

GPU = "#/spec/resources/limits/nvidia.com~1gpu"
REPLICAS = "#/spec/scaling/maxReplicas"


def named(world: World, name: str, **spec: Any) -> dict[str, Any]:
    manifest = world.manifest(**spec)
    manifest["metadata"]["name"] = name
    return manifest


def scaled(count: int) -> dict[str, int]:
    return {"minReplicas": count, "maxReplicas": count}


async def quota(world: World, **amounts: Any) -> Any:
    return await world.api.create("/quotas", team="care", environment="sandbox", **amounts)


async def refused(world: World, manifest: Any) -> dict[str, Any]:
    answer = await world.api.call("POST", "/deployments?environment=sandbox", manifest, status=422)
    return {one["path"]: one for one in answer.json()["findings"]}


async def state(world: World) -> Any:
    return await world.api.get("/quotas/care:sandbox/state")


async def test_replicas_beyond_the_quota_are_refused_with_what_fits_and_who_holds_the_rest(
    world: World,
) -> None:
    """And until when: what is in the sandbox ends by itself."""
    await quota(world, replicas=5)
    await world.deploy(scaling=scaled(2))

    found = await refused(world, named(world, "second", scaling=scaled(4)))

    assert set(found) == {REPLICAS}
    assert found[REPLICAS]["reason"] == "QuotaExceeded"
    assert found[REPLICAS]["message"] == (
        "4 replicas, and care has 3 of 5 free in sandbox "
        "(2 held by `triage` until 2026-12-07 12:00 UTC)."
    )
    assert found[REPLICAS]["fix"] == (
        "Use `maxReplicas: 3`, or ask for more: "
        "`towpath quotas request care --environment sandbox --replicas 6`."
    )
    await world.deploy(named(world, "second", scaling=scaled(3)))
    there = await state(world)
    assert there["free"]["replicas"] == 0
    assert {one["until"] for one in there["holders"]} == {"2026-12-07T12:00:00Z"}


@pytest.mark.parametrize(
    ("allowed", "spec", "path", "says"),
    [
        (
            {"cpu": "3"},
            {"resources": {"requests": {"cpu": "1500m"}}, "scaling": scaled(3)},
            REPLICAS,
            "3 replicas × 1.5 CPUs, and care has 3 of 3 CPUs free",
        ),
        (
            {"memory": "1Gi"},
            {"resources": {"requests": {"memory": "1536Mi"}}},
            "#/spec/resources/requests/memory",
            "1 replica × 1.5 GiB, and care has 1 of 1 GiB free",
        ),
        (
            {"gpus": {"gpu": 1}},
            {"resources": {"limits": {"nvidia.com/gpu": 2}}},
            GPU,
            "1 replica × 2 × gpu, and care has 1 of 1 × gpu free",
        ),
        (
            {"gpus": {"h100-80gb": 8}},
            {"resources": {"limits": {"nvidia.com/gpu": 1}}},
            GPU,
            "1 replica × 1 × gpu, and care has 0 of 0 × gpu free",
        ),
        ({"replicas": 0}, {}, REPLICAS, "1 replica, and care has 0 of 0 free"),
    ],
)
async def test_everything_that_a_deployment_takes_is_counted(
    world: World, allowed: dict[str, Any], spec: dict[str, Any], path: str, says: str
) -> None:
    await quota(world, **allowed)

    found = await refused(world, world.manifest(**spec))

    assert set(found) == {path}
    assert says in found[path]["message"]
    assert found[path]["fix"]
    assert (await state(world))["used"]["replicas"] == 0


async def test_a_deployment_that_changes_counts_once(world: World) -> None:
    await quota(world, replicas=3)
    await world.deploy(scaling=scaled(3))

    await world.deploy(scaling=scaled(3), access={"visibility": "team"})

    assert (await state(world))["used"]["replicas"] == 3


async def test_what_runs_stays_when_the_quota_shrinks_and_may_be_made_smaller(
    world: World,
) -> None:
    made = await quota(world, replicas=3)
    await world.deploy(scaling=scaled(3))
    await world.api.call("PATCH", f"/quotas/{made['id']}", {"replicas": 1}, status=200)

    await world.deploy(scaling=scaled(2))
    grown = await refused(world, world.manifest(scaling=scaled(4)))

    assert set(grown) == {REPLICAS}
    assert (await state(world))["free"]["replicas"] == 0


async def test_capacity_is_free_again_once_the_model_servers_have_ended(world: World) -> None:
    await quota(world, replicas=1, memory="64Mi")
    made = await world.deploy(resources={"requests": {"memory": "64Mi"}})
    await world.until(made["id"], lambda found: found["phase"] == "Ready")

    await world.api.call("DELETE", f"/deployments/{made['id']}", status=204)
    ending = await state(world)
    found = await refused(world, named(world, "next"))
    await world.until_gone(made["id"])
    after = await state(world)

    assert (ending["used"]["replicas"], ending["holders"][0]["ending"]) == (1, True)
    assert "1 held by `triage`, which is ending" in found[REPLICAS]["message"]
    assert (after["used"]["replicas"], after["used"]["memory"]) == (0, "0")
    assert after["holders"] == []


async def test_while_a_revision_replaces_another_the_larger_counts(world: World) -> None:
    await quota(world, replicas=4)
    made = await world.deploy(scaling=scaled(3))
    await world.until(made["id"], lambda found: found["phase"] == "Ready")

    await world.version("weights of the second version")
    await world.deploy(model={"uri": "models:/triage/2"}, scaling=scaled(1))
    during = (await state(world))["used"]["replicas"]
    await world.until(made["id"], lambda found: found["serving_revision"] == 2)

    assert during == 3
    assert (await state(world))["used"]["replicas"] == 1


async def test_names_of_holders_are_for_those_who_may_see_them(world: World) -> None:
    await quota(world, replicas=1)
    await world.deploy()
    await world.api.create("/projects", team="care", name="other")
    account = await world.api.create(
        "/service-accounts", project="care/other", name="robot", scopes=["deploy"]
    )
    manifest = named(world, "second")
    manifest["metadata"]["project"] = "care/other"
    await world.api.call("PATCH", "/models/triage", {"visibility": "team"}, status=200)
    robot = world.api.as_(account["token"])

    answer = await robot.call("POST", "/deployments?environment=sandbox", manifest, status=422)
    seen = await robot.get("/quotas/care:sandbox/state")

    message = answer.json()["findings"][0]["message"]
    assert "triage" not in message
    assert "1 held by 1 deployment until 2026-12-07 12:00 UTC" in message
    assert (seen["holders"], seen["hidden"], seen["used"]["replicas"]) == ([], 1, 1)


async def test_a_quota_counts_for_its_own_environment_and_team_alone(world: World) -> None:
    await quota(world, replicas=1)
    await world.deploy()
    await world.api.create("/teams", name="web")
    await world.api.create("/projects", team="web", name="shop")
    await world.api.call("PATCH", "/models/triage", {"visibility": "organization"}, status=200)
    foreign = named(world, "shop")
    foreign["metadata"]["project"] = "web/shop"

    await world.deploy(foreign)
    await world.api.call("POST", "/deployments?environment=staging", world.manifest(), status=201)

    assert (await state(world))["used"]["replicas"] == 1


async def test_twenty_deployments_at_once_take_exactly_what_there_is(
    world: World, clock: FixedClock
) -> None:
    """The check and the reservation are one transaction that waits for the others'."""
    await quota(world, replicas=3)

    answers = await asyncio.gather(
        *(
            world.api.call(
                "POST", "/deployments?environment=sandbox", named(world, f"model-{number}")
            )
            for number in range(20)
        )
    )

    codes = sorted(answer.status_code for answer in answers)
    assert codes == [201] * 3 + [422] * 17
    assert {answer.json()["findings"][0]["reason"] for answer in answers if answer.is_error} == {
        "QuotaExceeded"
    }
    assert len((await world.api.get("/deployments"))["items"]) == 3
    assert (await state(world))["free"]["replicas"] == 0


async def test_gpus_of_the_machine_are_shared_by_all_deployments(world: World) -> None:
    await quota(world)
    one = {"limits": {"nvidia.com/gpu": 1}}
    await world.deploy(resources=one, scaling=scaled(3))

    found = await refused(world, named(world, "second", resources=one, scaling=scaled(2)))
    await world.deploy(named(world, "second", resources=one, scaling=scaled(1)))
    full = await refused(world, named(world, "third", resources=one))

    assert found[GPU]["reason"] == "DoesNotFit"
    assert "asks for 2 GPUs in all" in found[GPU]["message"]
    assert "has 4, and 3 of them are taken" in found[GPU]["message"]
    assert found[GPU]["fix"] == "Use `maxReplicas: 1`, or delete a deployment that has some."
    assert "4 of them are taken" in full[GPU]["message"]


async def test_the_class_of_gpus_is_one_that_a_node_has(world: World) -> None:
    gpus = {"limits": {"nvidia.com/gpu": 1}}

    unknown = await refused(world, world.manifest(accelerator={"class": "gpo"}, resources=gpus))
    none = await refused(world, world.manifest(accelerator={"class": "gpu"}))
    made = await world.deploy(accelerator={"class": "gpu"}, resources=gpus)

    at = "#/spec/accelerator/class"
    assert (unknown[at]["reason"], unknown[at]["fix"]) == (
        "UnknownAccelerator",
        "Did you mean `gpu`?",
    )
    assert none[at]["reason"] == "AcceleratorWithoutGpus"
    assert made["gpus"] == 1
    assert (await state(world))["used"]["gpus"] == {"gpu": 1}
