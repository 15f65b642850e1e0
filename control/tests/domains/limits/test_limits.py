"""Limits: who may set one of what, how it travels, and what becomes of it."""

from typing import Any

import pytest
from examples import World, build

from towpath_server.core.access import SYSTEM
from towpath_server.core.signals import Board, LimitReport
from towpath_server.domains.limits import service as limits
from towpath_server.domains.teams import service as teams
from towpath_server.gatewaylink import entities


@pytest.fixture
async def world(api) -> World:
    return await build(api)


def of(world: World, actor: str):
    return world.api.as_(world.tokens[actor])


async def routed(db) -> dict[str, Any]:
    async with db.read() as tx:
        return {one.id: entities.limit(one) for one in await limits.routed(tx)}


async def endpoint(world: World, **more: Any) -> Any:
    return await world.api.create("/endpoints", **(world.endpoint_body() | more))


async def test_a_limit_travels_with_its_subject_in_words(world, db):
    key = await world.key(name="laptop")
    made = await world.api.create(
        "/limits", key=key["id"], requests_per_second={"limit": 10, "burst": 3}, concurrency=4
    )

    assert made["label"] == "key laptop of alpha/one"
    assert (await routed(db))[made["id"]] == {
        "subject": {"key": key["id"]},
        "label": "key laptop of alpha/one",
        "requests_per_second": {"limit": 10, "burst": 3},
        "concurrency": 4,
    }


async def test_two_parts_are_a_pair(world, db):
    end = await endpoint(world)

    made = await world.api.create(
        "/limits", team="alpha", endpoint=end["name"], tokens_per_minute=60_000
    )

    assert made["label"] == f"team alpha on endpoint {end['name']} in sandbox"
    subject = (await routed(db))[made["id"]]["subject"]
    assert subject == {"team": world.teams["alpha"], "endpoint": end["id"]}


@pytest.mark.parametrize(
    "subject",
    [{}, {"team": "alpha", "project": "alpha/one", "key": "key_1"}],
    ids=["nothing", "three parts"],
)
async def test_a_subject_has_one_or_two_parts(world, subject):
    body = {**subject, "concurrency": 1}

    refused = await world.api.call("POST", "/limits", body, status=422)

    assert refused.json()["code"] == "invalid_request"


async def test_parts_that_exclude_each_other_are_refused(world):
    body = {"team": "beta", "project": "alpha/one", "concurrency": 1}

    refused = await world.api.call("POST", "/limits", body, status=422)

    assert refused.json()["code"] == "subject_unmatchable"


@pytest.mark.parametrize(
    "rules",
    [
        {},
        {"concurrency": 0},
        {"requests_per_second": 0},
        {"requests_per_minute": {"limit": 5, "burst": 0}},
        {"tokens_per_minute": True},
    ],
)
async def test_a_limit_limits_something_to_more_than_nothing(world, rules):
    refused = await world.api.call("POST", "/limits", {"team": "alpha", **rules}, status=422)

    assert refused.json()["code"] == "invalid_request"


async def test_a_team_admin_holds_the_own_team_to_less_on_a_foreign_endpoint(world):
    end = await endpoint(world, project="beta/one", access={"visibility": "organization"})
    admin = of(world, "alpha admin")
    pair = {"project": "alpha/one", "endpoint": end["id"], "concurrency": 2}

    made = await admin.call("POST", "/limits", pair, status=201)
    alone = {"endpoint": end["id"], "concurrency": 2}
    refused = await admin.call("POST", "/limits", alone, status=403)

    assert made.json()["set_by"] == "team"
    assert refused.json()["code"] == "permission_denied"
    await of(world, "beta admin").call("POST", "/limits", alone, status=201)


async def test_foreign_subjects_are_not_found(world):
    key = await world.key()
    hidden = await endpoint(world)
    admin = of(world, "beta admin")

    for subject in (
        {"team": "alpha"},
        {"project": "alpha/one"},
        {"key": key["id"]},
        {"endpoint": hidden["id"]},
        {"team": "beta", "endpoint": hidden["id"]},
    ):
        await admin.call("POST", "/limits", {**subject, "concurrency": 1}, status=404)


async def test_what_the_platform_set_a_team_cannot_loosen(world):
    made = await world.api.create("/limits", team="alpha", requests_per_minute=10)
    admin = of(world, "alpha admin")

    changed = await admin.call(
        "PATCH", f"/limits/{made['id']}", {"requests_per_minute": 1_000}, status=403
    )
    deleted = await admin.call("DELETE", f"/limits/{made['id']}", status=403)

    assert changed.json()["code"] == deleted.json()["code"] == "set_by_platform"
    assert (await admin.get("/limits"))["items"] == [made]
    await admin.call("POST", "/limits", {"team": "alpha", "requests_per_minute": 5}, status=201)


async def test_a_change_takes_a_part_away_and_leaves_one(world):
    made = await world.api.create("/limits", team="alpha", requests_per_minute=10, concurrency=3)
    path = f"/limits/{made['id']}"

    changed = await world.api.call("PATCH", path, {"concurrency": None}, status=200)
    emptied = await world.api.call("PATCH", path, {"requests_per_minute": None}, status=422)

    assert changed.json()["concurrency"] is None
    assert changed.json()["requests_per_minute"] == {"limit": 10, "burst": None}
    assert "limits nothing" in emptied.json()["detail"]


async def test_a_list_is_narrowed_to_what_is_asked_for(world):
    first = await world.api.create("/limits", project="alpha/one", concurrency=1)
    await world.api.create("/limits", project="alpha/two", concurrency=1)

    listed = await world.api.get("/limits?project=alpha/one")

    assert [one["id"] for one in listed["items"]] == [first["id"]]


async def test_limits_go_with_what_they_limit(world, db):
    key = await world.key()
    end = await endpoint(world)
    project = await world.api.create("/projects", team="alpha", name="three")
    team = await world.api.create("/teams", name="gamma")
    for subject in (
        {"key": key["id"]},
        {"key": key["id"], "endpoint": end["id"]},
        {"team": "alpha", "endpoint": end["id"]},
        {"project": project["id"]},
        {"team": team["id"]},
    ):
        await world.api.create("/limits", **subject, concurrency=1)

    for path in (
        f"/keys/{key['id']}",
        f"/endpoints/{end['id']}",
        f"/projects/{project['id']}",
        f"/teams/{team['id']}",
    ):
        await world.api.call("DELETE", path, status=204)

    assert await routed(db) == {}


async def test_a_rotation_frees_no_key_of_its_limits(world, db):
    key = await world.key()
    await world.api.create("/limits", key=key["id"], requests_per_minute=10)

    rotated = await world.api.call("POST", f"/keys/{key['id']}/rotate", {"grace": "0s"})

    (left,) = (await routed(db)).values()
    assert left["subject"] == {"key": rotated.json()["id"]}
    assert left["requests_per_minute"] == {"limit": 10}


async def test_words_follow_a_new_name(world):
    key = await world.key(name="laptop")
    made = await world.api.create("/limits", key=key["id"], concurrency=1)

    for path, name in (
        (f"/keys/{key['id']}", "desk"),
        ("/projects/alpha/one", "first"),
        ("/teams/alpha", "omega"),
    ):
        await world.api.call("PATCH", path, {"name": name}, status=200)

    assert (await world.api.get(f"/limits/{made['id']}"))["label"] == "key desk of omega/first"


async def test_a_rename_tells_the_gateways_of_the_limits_it_words(world, db):
    """A table by batches must be the table of a fresh snapshot, words included."""
    made = await world.api.create("/limits", project="alpha/one", concurrency=1)

    async with db.write() as tx:
        team = (await limits.get(tx, SYSTEM, made["id"])).owner.team_id
        await teams.update(tx, SYSTEM, team, name="omega", if_match=None)

        assert ("limit", made["id"]) in tx.changes


async def test_the_state_is_the_sum_of_what_the_gateways_said(world, app):
    made = await world.api.create("/limits", team="alpha", requests_per_minute=10, concurrency=3)
    board: Board = app.state.towpath.board
    for gateway, at_ms, left in (("gw_1", 1_000, 4), ("gw_2", 2_000, 5)):
        report = LimitReport(gateway, at_ms, 1, left, None, refused=2)
        board.take(gateway, at_ms, limits=[(made["id"], report)])
        board.take(gateway, at_ms, limits=[(made["id"], report)])

    state = await world.api.get(f"/limits/{made['id']}/state")

    assert (state["in_flight"], state["requests_left"], state["tokens_left"]) == (2, 9, None)
    assert state["refused"] == 8
    assert state["reported_at"] == "1970-01-01T00:00:01Z"


def test_in_what_a_gateway_no_longer_mentions_nothing_is_in_flight():
    board = Board()
    board.take("gw_1", 1_000, limits=[("lim_1", LimitReport("gw_1", 1_000, 5, 1, None, 0))])

    board.take("gw_1", 2_000)

    (report,) = board.limit("lim_1")
    assert (report.in_flight, report.at_ms) == (0, 1_000)
