"""What holds for every write of the API: ETag, If-Match, Idempotency-Key, audit."""

import asyncio

import pytest
from examples import World
from routes import ROUTES, WRITES, Route

from towpath_server.core.access import Verb
from towpath_server.core.clock import FixedClock

pytestmark = pytest.mark.asyncio(loop_scope="module")

CHANGES = [route for route in WRITES if route.verb in {Verb.UPDATE, Verb.DELETE}]
READABLE = {route.path for route in ROUTES if route.method == "GET"}


@pytest.mark.parametrize("route", WRITES, ids=str)
async def test_a_write_answers_with_its_revision_and_is_audited(route: Route, world: World) -> None:
    call = await route.make(world)

    answer = await world.api.call(route.method, call.path, call.body)

    assert answer.status_code in {200, 201, 202, 204}, answer.text
    if route.method == "DELETE":
        assert (answer.status_code, answer.content) == (204, b"")
        identity = call.path.rsplit("/", 1)[-1]
    else:
        identity = answer.json()["id"]
        assert answer.headers["etag"] == f'"{answer.json()["revision"]}"'
    done = await events(world, answer.headers["x-request-id"], "done")
    # a version is an event of its model
    assert {identity, *call.path.split("/")} & {event["resource_id"] for event in done}
    assert {event["principal"]["kind"] for event in done} == {"admin"}


@pytest.mark.parametrize("route", CHANGES, ids=str)
async def test_a_stale_if_match_changes_nothing(route: Route, world: World) -> None:
    call = await route.make(world)
    resource = route.resource(call.path)
    before = await world.api.get(resource)

    refused = await world.api.call(
        route.method, call.path, call.body, headers={"if-match": '"999"'}, status=412
    )

    assert refused.json()["code"] == "revision_conflict"
    assert await world.api.get(resource) == before


@pytest.mark.parametrize("route", CHANGES, ids=str)
async def test_the_current_if_match_lets_the_change_pass(route: Route, world: World) -> None:
    call = await route.make(world)
    read = await world.api.call("GET", route.resource(call.path), status=200)

    answer = await world.api.call(
        route.method, call.path, call.body, headers={"if-match": read.headers["etag"]}
    )

    assert answer.status_code in {200, 201, 202, 204}, answer.text


@pytest.mark.parametrize("route", WRITES, ids=str)
async def test_a_repeated_idempotency_key_does_it_once(route: Route, world: World) -> None:
    call = await route.make(world)
    headers = {"idempotency-key": world.name("once")}

    first = await world.api.call(route.method, call.path, call.body, headers=headers)
    second = await world.api.call(route.method, call.path, call.body, headers=headers)

    assert first.status_code in {200, 201, 202, 204}, first.text
    assert (second.status_code, second.content) == (first.status_code, first.content)
    assert second.headers.get("etag") == first.headers.get("etag")
    assert second.headers["idempotency-replayed"] == "true"
    assert await events(world, second.headers["x-request-id"], "done") == []


@pytest.mark.parametrize("route", WRITES, ids=str)
async def test_an_idempotency_key_stands_for_one_request_only(route: Route, world: World) -> None:
    first, other = await route.make(world), await route.make(world)
    headers = {"idempotency-key": world.name("once")}
    await world.api.call(route.method, first.path, first.body, headers=headers)
    if (other.path, other.body) == (first.path, first.body):
        other = type(other)(f"{other.path}-other", other.body)

    refused = await world.api.call(
        route.method, other.path, other.body, headers=headers, status=409
    )

    assert refused.json()["code"] == "idempotency_key_reused"


@pytest.mark.parametrize("route", WRITES, ids=str)
async def test_a_refused_write_is_audited(route: Route, world: World) -> None:
    call = await route.make(world)
    caller = world.api.as_(world.tokens["newcomer"])

    refused = await caller.call(route.method, call.path, call.body)

    assert refused.status_code in {403, 404}
    (event,) = await events(world, refused.headers["x-request-id"], "refused")
    assert event["code"] == refused.json()["code"]
    assert event["principal"]["id"] == world.users["newcomer"]
    assert event["action"].startswith(f"{route.noun}.")


async def test_duplicates_that_come_together_are_done_once(world: World) -> None:
    body = {"project": world.project, "environment": "sandbox", "name": "twin"}

    answers = await asyncio.gather(
        *(
            world.api.call("POST", "/keys", body, headers={"idempotency-key": "twin"})
            for _ in range(5)
        )
    )

    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["key"] for answer in answers}) == 1
    listed = await world.api.get(f"/keys?project={world.project}&limit=1000")
    assert [key["name"] for key in listed["items"]].count("twin") == 1


async def test_an_idempotency_key_is_forgotten_after_a_day(
    world: World, shared_clock: FixedClock
) -> None:
    headers = {"idempotency-key": "yesterday"}
    await world.api.call("POST", "/teams", {"name": "gamma"}, headers=headers, status=201)
    shared_clock.advance(seconds=24 * 60 * 60 + 1)

    again = await world.api.call("POST", "/teams", {"name": "gamma"}, headers=headers)

    assert again.status_code == 409
    assert again.json()["code"] == "name_taken"


async def test_a_refused_write_does_not_use_the_key_up(world: World) -> None:
    headers = {"idempotency-key": world.name("later")}
    team = world.name("team")
    body = {"team": team, "name": "one"}
    await world.api.call("POST", "/projects", body, headers=headers, status=404)
    await world.api.create("/teams", name=team)

    answer = await world.api.call("POST", "/projects", body, headers=headers)

    assert answer.status_code == 201


@pytest.mark.parametrize("key", ["", "x" * 256, "käse"])
async def test_an_unusable_idempotency_key_is_refused(world: World, key: str) -> None:
    answer = await world.api.client.post(
        "/api/v1/teams",
        json={"name": "gamma"},
        headers={
            "authorization": f"Bearer {world.api.token}",
            "idempotency-key": key.encode(),
        },
    )

    assert answer.status_code == 422
    assert answer.json()["findings"][0]["path"] == "header:idempotency-key"


async def events(world: World, request_id: str, outcome: str) -> list[dict]:
    """Return what the audit log has of one request."""
    listed = await world.api.get("/audit?limit=20")
    return [
        event
        for event in listed["items"]
        if event["request_id"] == request_id and event["outcome"] == outcome
    ]
