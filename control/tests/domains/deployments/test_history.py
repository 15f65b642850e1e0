"""What served when, who put it there, what expires, and how much goes on without the platform."""

import json
from dataclasses import replace
from typing import Any

import pytest
from people import person
from platform_api import Api
from receiver import Receiver
from worlds import World

from towpath_server.adapters.egress import EgressClient
from towpath_server.adapters.webhook import Webhook
from towpath_server.core import egress
from towpath_server.core.secret import Secret
from towpath_server.domains.deployments import service as deployments
from towpath_server.domains.notices.reconcile import Notifier

DAY = 86_400


async def expire(world: World) -> None:
    """Do what the loop does about time."""
    async with world.db.read() as tx:
        due = await deployments.due(tx, world.facilities)
    for deployment_id in due:
        async with world.db.write() as tx:
            await deployments.expire(tx, deployment_id, notify=world.facilities.notify)


async def deploy(who: Api, world: World, environment: str = "sandbox", **spec: Any) -> Any:
    answer = await who.call(
        "POST", f"/deployments?environment={environment}", world.manifest(**spec)
    )
    assert answer.status_code in {200, 201}, answer.text
    return answer.json()


def ready(found: Any) -> bool:
    return found["phase"] == "Ready" and found["serving_revision"] == found["revision"]


@pytest.fixture
async def dev(world: World) -> Api:
    return await person(world.api, "Dora", team="care", role="developer")


async def test_the_registry_knows_which_version_served_at_a_time(world: World, dev: Api) -> None:
    begin = world.clock.now()
    made = await deploy(dev, world)
    await world.until(made["id"], ready)
    await world.version("weights of a second version")
    world.clock.advance(seconds=DAY)
    second = await deploy(dev, world, model={"uri": "models:/triage/2"})
    await world.until(made["id"], ready)
    world.clock.advance(seconds=DAY)
    await world.api.call("DELETE", f"/deployments/{made['id']}", status=204)
    await world.until_gone(made["id"])

    async def at(days: float) -> list[int]:
        moment = begin.timestamp() + days * DAY
        when = type(begin).fromtimestamp(moment, begin.tzinfo).isoformat().replace("+", "%2B")
        listed = await dev.get(f"/models/triage/served?environment=sandbox&at={when}")
        return [one["version"] for one in listed["items"]]

    assert [await at(days) for days in (-1, 0.5, 1.5, 2.5)] == [[], [1], [2], []]
    listed = (await dev.get("/models/triage/served"))["items"]
    assert [(one["version"], one["revision"]) for one in listed] == [(2, 2), (1, 1)]
    assert listed[0]["until"] == "2026-11-25T12:00:00Z"
    assert listed[1]["until"] == listed[0]["from"]
    assert {one["origin"]["by"] for one in listed} == {"dora@example.org"}
    assert listed[0]["digest"] == second["model"]["digest"]
    assert (await dev.get("/models/triage/served?environment=production"))["items"] == []
    page = await dev.get("/models/triage/served?limit=1")
    rest = await dev.get(f"/models/triage/served?limit=1&after={page['next']}")
    assert [page["items"][0], rest["items"][0]] == listed


async def test_a_revision_that_loads_nothing_anew_is_told_apart_as_well(
    world: World, dev: Api
) -> None:
    made = await deploy(dev, world)
    await world.until(made["id"], ready)

    await deploy(dev, world, access={"visibility": "team"})

    listed = (await dev.get("/models/triage/served"))["items"]
    assert [one["revision"] for one in listed] == [2, 1]


async def test_history_of_other_teams_is_not_shown(world: World, dev: Api) -> None:
    made = await deploy(dev, world)
    await world.until(made["id"], ready)
    await world.api.create("/teams", name="web")
    stranger = await person(world.api, "Sven", team="web", role="admin")
    await world.api.call("PATCH", "/models/triage", {"visibility": "organization"}, status=200)

    assert (await stranger.get("/models/triage/served"))["items"] == []
    assert (await stranger.get("/adoption/self-service"))["deployments"] == 0


async def test_what_stays_in_the_sandbox_too_long_says_so_and_is_taken_away(
    world: World, dev: Api
) -> None:
    made = await deploy(dev, world)
    await world.until(made["id"], ready)
    assert made["expires_at"] == "2026-12-07T12:00:00Z"

    world.clock.advance(seconds=10 * DAY)
    await expire(world)
    assert await actions(world, made) == ["deployment.created"]
    world.clock.advance(seconds=DAY)
    await expire(world)
    await expire(world)
    assert await actions(world, made) == ["deployment.expiring", "deployment.created"]
    world.clock.advance(seconds=3 * DAY)
    await expire(world)

    assert (await world.get())["phase"] == "Deleting"
    await world.until_gone(made["id"])
    assert (await actions(world, made))[0] == "deployment.deleted"
    assert (await dev.get("/models/triage/served"))["items"][0]["until"] is not None
    assert (await dev.get("/endpoints"))["items"] == []


async def test_a_program_outside_is_told_once_that_it_is_about_to_expire(
    world: World, dev: Api
) -> None:
    world.facilities = replace(world.facilities, notify=True)
    made = await deploy(dev, world)
    world.clock.advance(seconds=11 * DAY)
    await expire(world)
    await expire(world)

    async with Receiver().listening() as receiver:
        secret = Secret("a-webhook-secret-of-more-than-32-characters")
        here = EgressClient([egress.network("127.0.0.0/8")])
        notifier = Notifier(world.db, Webhook(receiver.url, secret, here))
        assert [await notifier.step(), await notifier.step()] == [True, False]

    ((_, body),) = receiver.taken
    told = json.loads(body)
    assert told["type"] == "deployment.expiring"
    assert told["data"]["deployment"] == made["id"]
    assert told["data"]["expires_at"] == "2026-12-07T12:00:00+00:00"
    assert told["data"]["renew"] == "towpath deployments renew triage --environment sandbox"


async def test_a_renewed_or_redeployed_one_stays(world: World, dev: Api) -> None:
    made = await deploy(dev, world)
    world.clock.advance(seconds=12 * DAY)
    await expire(world)

    renewed = await dev.call("POST", f"/deployments/{made['id']}/renew", status=200)
    assert renewed.json()["expires_at"] == "2026-12-19T12:00:00Z"
    world.clock.advance(seconds=13 * DAY)
    again = await deploy(dev, world, access={"visibility": "team"})
    world.clock.advance(seconds=13 * DAY)
    await expire(world)

    assert again["expires_at"] == "2027-01-01T12:00:00Z"
    assert (await world.get())["phase"] != "Deleting"
    assert (await actions(world, made))[:2] == ["deployment.expiring", "deployment.updated"]


async def test_only_the_sandbox_expires(world: World, dev: Api) -> None:
    made = await deploy(dev, world, "staging")
    world.clock.advance(seconds=400 * DAY)
    await expire(world)

    refused = await dev.call("POST", f"/deployments/{made['id']}/renew", status=422)

    assert made["expires_at"] is None
    assert refused.json()["code"] == "invalid_request"
    assert (await world.get())["phase"] != "Deleting"


async def test_the_self_service_rate_says_what_kept_the_others(world: World, dev: Api) -> None:
    first = await deploy(dev, world)
    await world.until(first["id"], ready)
    await world.deploy(rename(world, "by-platform"))
    await deploy(dev, world, "staging")

    def broken(found: Any) -> bool:
        return found["phase"] == "Failed"

    manifest = rename(world, "broken", runtime={"name": "tiny", "args": ["--crash-while=/"]})
    made = (await dev.call("POST", "/deployments?environment=sandbox", manifest)).json()
    world.shown = lambda ref: world.api.get(f"/deployments/{ref}")
    await world.until(made["id"], broken)

    found = await dev.get("/adoption/self-service?team=care")

    assert (found["deployments"], found["self_service"], found["rate"]) == (4, 1, 0.25)
    assert {one["reason"]: one["deployments"] for one in found["items"]} == {
        "not_ready_yet": 2,
        "Loaded: CrashLoop": 1,
    }
    world.clock.advance(seconds=31 * DAY)
    later = await dev.get("/adoption/self-service")
    assert (later["deployments"], later["rate"]) == (0, None)
    whole = await dev.get("/adoption/self-service?since=2026-01-01T00:00:00Z")
    assert whole["deployments"] == 4


def rename(world: World, name: str, **spec: Any) -> Any:
    manifest = world.manifest(**spec)
    return {**manifest, "metadata": {**manifest["metadata"], "name": name}}


async def actions(world: World, made: Any) -> list[str]:
    listed = await world.api.get(f"/audit?noun=deployment&id={made['id']}")
    return [event["action"] for event in listed["items"]]
