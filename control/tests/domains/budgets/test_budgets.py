"""Budgets as they are declared: who may set one, what may change, what becomes of it."""

from typing import Any

import pytest
from examples import World, build

from towpath_server.core.signals import BudgetReport
from towpath_server.domains.budgets import service as budgets
from towpath_server.gatewaylink import entities


@pytest.fixture
async def world(api) -> World:
    return await build(api)


async def routed(db) -> dict[str, Any]:
    async with db.read() as tx:
        return {one.id: entities.budget(one) for one in await budgets.routed(tx)}


async def make(world: World, **fields: Any) -> Any:
    whole = {"team": "alpha", "tokens": 1_000, "period": "day", "mode": "hard"}
    return await world.api.create("/budgets", **(whole | fields))


async def test_a_budget_of_money_travels_in_nano_units(world, db):
    made = await make(world, tokens=None, cost="250.50", period="month", mode="soft")

    assert (made["cost"], made["cost_nano"], made["tokens"]) == ("250.5", 250_500_000_000, None)
    assert (await routed(db))[made["id"]] == {
        "subject": {"team": world.teams["alpha"]},
        "label": "team alpha",
        "cost_nano": 250_500_000_000,
        "period": "month",
        "mode": "soft",
        "warn_percent": 80,
    }


@pytest.mark.parametrize(
    "fields",
    [
        {"tokens": None},
        {"cost": "1"},
        {"tokens": 0},
        {"tokens": None, "cost": "0"},
        {"tokens": None, "cost": "1e30"},
        {"period": "year"},
        {"warn_percent": 0},
        {"team": None},
    ],
)
async def test_a_budget_that_says_nothing_sound_is_refused(world, fields):
    body = {"team": "alpha", "tokens": 1_000, "period": "day", "mode": "hard"} | fields

    refused = await world.api.call("POST", "/budgets", body, status=422)

    assert refused.json()["code"] == "invalid_request"


async def test_amount_and_mode_change_and_the_unit_stays(world):
    made = await make(world)
    path = f"/budgets/{made['id']}"

    changed = await world.api.call("PATCH", path, {"tokens": 5, "mode": "soft"}, status=200)
    refused = await world.api.call("PATCH", path, {"cost": "5"}, status=409)

    assert (changed.json()["tokens"], changed.json()["mode"]) == (5, "soft")
    assert refused.json()["code"] == "budget_unit_fixed"


async def test_what_the_platform_set_a_team_cannot_raise(world):
    made = await make(world)
    admin = world.api.as_(world.tokens["alpha admin"])

    refused = await admin.call("PATCH", f"/budgets/{made['id']}", {"tokens": 10**9}, status=403)

    assert refused.json()["code"] == "set_by_platform"


async def test_budgets_go_with_what_they_are_of(world, db):
    key = await world.key()
    end = await world.api.create("/endpoints", **world.endpoint_body())
    await make(world, team=None, key=key["id"])
    await make(world, endpoint=end["id"])

    await world.api.call("DELETE", f"/keys/{key['id']}", status=204)
    await world.api.call("DELETE", f"/endpoints/{end['id']}", status=204)

    assert await routed(db) == {}


async def test_the_state_joins_the_ledger_and_the_gateways(world, app):
    made = await make(world)
    report = BudgetReport("gw_1", 1_000, reserved=300, unshipped=100, refused=2)
    app.state.towpath.board.take("gw_1", 1_000, budgets=[(made["id"], report)])

    state = await world.api.get(f"/budgets/{made['id']}/state")

    assert (state["used"], state["unshipped"], state["reserved"]) == (0, 100, 300)
    assert (state["left"], state["refused"], state["level"]) == (600, 2, "within")
    assert state["period_start"] == "2026-11-23T00:00:00Z"
    assert state["resets_at"] == "2026-11-24T00:00:00Z"
