"""Quotas: who may set one, what holds where there is none, and what its state says."""

import pytest
from examples import World, build
from platform_api import Api


@pytest.fixture
async def world(api: Api) -> World:
    return await build(api)


def of(world: World, actor: str) -> Api:
    return world.api.as_(world.tokens[actor])


async def test_amounts_are_read_as_kubernetes_writes_them_and_answered_exactly(
    world: World,
) -> None:
    made = await world.api.create(
        "/quotas",
        team="alpha",
        environment="production",
        cpu="1500m",
        memory="1.5Gi",
        replicas=4,
        gpus={"h100-80gb": 8},
    )

    assert (made["cpu"], made["memory"]) == ("1500m", "1536Mi")
    assert (made["replicas"], made["gpus"]) == (4, {"h100-80gb": 8})
    assert made["team_name"] == "alpha"
    assert await world.api.get("/quotas/alpha:production") == made


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("cpu", "many"),
        ("memory", "1e9"),
        ("memory", "9999999Pi"),
        ("replicas", -1),
        ("gpus", {"H100 80GB": 1}),
        ("gpus", {"h100": -1}),
        ("gpus", 8),
        ("disk", 1),
    ],
)
async def test_what_is_no_amount_is_refused(world: World, part: str, value: object) -> None:
    body = {"team": "alpha", "environment": "production", part: value}

    answer = await world.api.call("POST", "/quotas", body, status=422)

    assert answer.json()["findings"]
    assert (await world.api.get("/quotas"))["items"] == []


async def test_a_team_has_one_quota_in_an_environment(world: World) -> None:
    first = await world.api.create("/quotas", team="alpha", environment="staging", replicas=1)

    again = await world.api.call(
        "POST", "/quotas", {"team": "alpha", "environment": "staging"}, status=409
    )
    await world.api.create("/quotas", team="beta", environment="staging", replicas=1)

    assert again.json()["code"] == "quota_set"
    assert first["id"] in again.json()["fix"]


async def test_a_quota_changes_by_parts_and_null_lifts_one(world: World) -> None:
    made = await world.api.create(
        "/quotas", team="alpha", environment="staging", replicas=1, memory="1Gi"
    )

    changed = await world.api.call(
        "PATCH", f"/quotas/{made['id']}", {"replicas": 3, "memory": None}, status=200
    )

    assert (changed.json()["replicas"], changed.json()["memory"]) == (3, None)
    assert changed.json()["revision"] == 2


async def test_without_a_quota_the_default_of_the_settings_holds(world: World) -> None:
    sandbox = await world.api.get("/quotas/alpha:sandbox/state")
    production = await world.api.get("/quotas/alpha:production/state")
    made = await world.api.create("/quotas", team="alpha", environment="sandbox")
    lifted = await world.api.get("/quotas/alpha:sandbox/state")
    await world.api.call("DELETE", f"/quotas/{made['id']}", status=204)
    again = await world.api.get("/quotas/alpha:sandbox/state")

    assert (sandbox["quota"], sandbox["allowed"]["replicas"]) == (None, 10)
    assert sandbox["free"]["gpus"] == {"*": 2}
    assert set(production["allowed"].values()) == {None}
    assert (lifted["quota"], lifted["allowed"]["replicas"]) == (made["id"], None)
    assert again == sandbox


async def test_a_team_sees_its_own_quotas_and_no_others(world: World) -> None:
    own = await world.api.create("/quotas", team="alpha", environment="staging", replicas=1)
    await world.api.create("/quotas", team="beta", environment="staging", replicas=1)

    for actor in ("alpha viewer", "alpha/one account", "alpha/one key"):
        listed = await of(world, actor).get("/quotas")
        state = await of(world, actor).get("/quotas/alpha:staging/state")
        assert [one["id"] for one in listed["items"]] == [own["id"]], actor
        assert state["quota"] == own["id"]
    await of(world, "alpha admin").get("/quotas/beta:staging/state", status=404)
    await of(world, "alpha admin").get("/quotas/beta:staging", status=404)
    await of(world, "alpha admin").get("/quotas/alpha:nowhere/state", status=404)
    raised = await of(world, "alpha admin").call(
        "PATCH", f"/quotas/{own['id']}", {"replicas": 100}, status=403
    )
    assert "platform" in raised.json()["fix"]


async def test_a_quota_goes_with_its_team(world: World) -> None:
    await world.api.create("/teams", name="gamma")
    made = await world.api.create("/quotas", team="gamma", environment="staging", replicas=1)

    await world.api.call("DELETE", "/teams/gamma", status=204)

    await world.api.get(f"/quotas/{made['id']}", status=404)
    events = (await world.api.get(f"/audit?id={made['id']}"))["items"]
    assert {event["action"] for event in events} == {"quota.created", "quota.deleted"}
