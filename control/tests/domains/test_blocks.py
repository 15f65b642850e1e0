"""Blocks: what is stopped, by what the gateways know it, and how it is let go."""

from typing import Any

import pytest
from examples import World, build

from towpath_server.domains.blocks import service as blocks
from towpath_server.gatewaylink import entities


@pytest.fixture
async def world(api) -> World:
    return await build(api)


async def routed(db) -> list[Any]:
    async with db.read() as tx:
        return [entities.block(one) for one in await blocks.routed(tx)]


async def test_each_is_blocked_by_what_the_gateways_know(world, db):
    end = await world.api.create("/endpoints", **world.endpoint_body())
    key = await world.key()
    provider = await world.api.create(
        "/providers", name=world.name("vendor"), base_url="https://api.example.com/v1"
    )

    for body in (
        {"endpoint": end["name"], "reason": "wrong answers"},
        {"key": key["id"]},
        {"provider": provider["id"]},
        {"model": "big-model"},
    ):
        await world.api.create("/blocks", **body)

    assert await routed(db) == [
        {"what": {"endpoint": end["id"]}, "reason": "wrong answers"},
        {"what": {"key": key["id"]}},
        {"what": {"provider": provider["name"]}},
        {"what": {"model": "big-model"}},
    ]


@pytest.mark.parametrize(
    "body", [{}, {"model": "a", "key": "key_1"}, {"model": "a", "environment": "sandbox"}]
)
async def test_a_block_is_of_one_thing(world, body):
    refused = await world.api.call("POST", "/blocks", body, status=422)

    assert refused.json()["code"] == "invalid_request"


async def test_what_is_not_there_cannot_be_blocked(world):
    await world.api.call("POST", "/blocks", {"endpoint": "nothing"}, status=404)
    await world.api.call("POST", "/blocks", {"provider": "nobody"}, status=404)


async def test_one_block_is_enough_and_is_found_by_what_it_blocks(world):
    made = await world.api.create("/blocks", model="big-model")
    await world.api.create("/blocks", model="other-model")

    again = await world.api.call("POST", "/blocks", {"model": "big-model"}, status=409)
    listed = await world.api.get("/blocks?model=big-model")

    assert again.json()["code"] == "already_blocked"
    assert [one["id"] for one in listed["items"]] == [made["id"]]


async def test_a_rotation_frees_no_blocked_key_and_a_deletion_leaves_no_block(world, db):
    key = await world.key()
    await world.api.create("/blocks", key=key["id"])

    rotated = await world.api.call("POST", f"/keys/{key['id']}/rotate", {"grace": "0s"})
    successor = rotated.json()["id"]
    after_rotation = await routed(db)
    await world.api.call("DELETE", f"/keys/{successor}", status=204)

    assert after_rotation == [{"what": {"key": successor}}]
    assert await routed(db) == []


async def test_a_team_admin_blocks_nothing(world):
    admin = world.api.as_(world.tokens["alpha admin"])

    await admin.call("POST", "/blocks", {"model": "big-model"}, status=403)


async def test_a_teams_weight_is_for_the_platform_to_say(world):
    admin = world.api.as_(world.tokens["alpha admin"])

    refused = await admin.call("PATCH", "/teams/alpha", {"weight": 100}, status=403)
    changed = await world.api.call("PATCH", "/teams/alpha", {"weight": 3}, status=200)
    renamed = await admin.call("PATCH", "/teams/alpha", {"name": "omega", "weight": 3}, status=200)

    assert refused.json()["code"] == "permission_denied"
    assert (changed.json()["weight"], renamed.json()["name"]) == (3, "omega")


async def test_a_key_says_how_its_calls_stand(world):
    made = await world.key(priority="batch")
    path = f"/keys/{made['id']}"

    raised = await world.api.call("PATCH", path, {"priority": "interactive"}, status=200)
    taken = await world.api.call("PATCH", path, {"priority": None}, status=200)

    assert made["priority"] == "batch"
    assert (raised.json()["priority"], taken.json()["priority"]) == ("interactive", None)
