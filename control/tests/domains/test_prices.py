"""Prices: immutable rows with a beginning, all of which that still matter reach the gateway."""

from datetime import timedelta
from typing import Any

import pytest
from platform_api import Api

from towpath_server.core import revision
from towpath_server.core.clock import FixedClock, to_ms
from towpath_server.core.db import Database
from towpath_server.core.money import OUTSIDE, Amounts
from towpath_server.domains.endpoints import service as endpoints
from towpath_server.domains.prices import service as prices

STATIC = {"url": "http://gpu-7.internal:8000/v1", "model": "llama"}


@pytest.fixture(autouse=True)
async def _world(api: Api) -> None:
    await api.create("/teams", name="care")
    await api.create("/projects", team="care", name="chat")
    await api.create("/providers", name="vendor", base_url="https://api.vendor.example/v1")
    await endpoint(api, "big", {"provider": "vendor", "model": "large"})


async def endpoint(api: Api, name: str, target: dict[str, Any]) -> Any:
    return await api.create(
        "/endpoints", name=name, environment="sandbox", project="care/chat", targets=[target]
    )


async def add(api: Api, **price: Any) -> Any:
    return await api.create("/providers/vendor/prices", model="large", **price)


def later(clock: FixedClock, days: int) -> str:
    return (clock.now() + timedelta(days=days)).isoformat()


async def routed(db: Database, name: str = "vendor") -> tuple[str, ...]:
    async with db.read() as tx:
        found = await endpoints.routed_targets(tx)
        known = {price.id for price in await prices.routed(tx)}
    (target,) = (target for target in found if target.name == name)
    assert set(target.prices) <= known
    return target.prices


def test_every_amount_has_a_name_of_its_own():
    assert len(set(OUTSIDE.values())) == len(OUTSIDE)
    assert OUTSIDE["request_nano"] == "per_request"
    assert OUTSIDE["gpu_second_nano"] == "gpu_second"
    assert OUTSIDE["cache_write_nano_per_million"] == "cache_write_per_million"


async def test_a_price_to_come_stands_beside_the_one_that_holds(
    api: Api, db: Database, clock: FixedClock
) -> None:
    now = await add(api, input_per_million="0.15", output_per_million="0.6")
    then = await add(api, input_per_million="0.10", **{"from": later(clock, 30)})

    assert now["from"] is not None
    assert await routed(db) == (now["id"], then["id"])


async def test_a_new_price_leaves_the_former_one_as_it_was(
    api: Api, db: Database, clock: FixedClock
) -> None:
    """A record names its price by id: what it says must never change."""
    former = await add(api, input_per_million="0.15")
    clock.advance(seconds=60)
    now = await add(api, input_per_million="0.20")

    kept = await api.get(f"/prices/{former['id']}")
    assert await routed(db) == (now["id"],)
    assert kept["input_per_million"] == "0.15"
    assert kept["retired_at"] is not None
    assert kept["model"] == "large"
    listed = await api.get(f"/prices?model=large&owner={kept['owner']}")
    assert [one["id"] for one in listed["items"]] == [former["id"], now["id"]]


async def test_a_price_is_told_to_the_gateway_with_its_target(
    api: Api, db: Database, clock: FixedClock
) -> None:
    async with db.read() as tx:
        before = await revision.current(tx)

    added = await add(api, per_request="0.001", gpu_second="0.0005")

    async with db.read() as tx:
        changes = {(c.noun, c.id) for c in await revision.since(tx, before, 100)}
        (price,) = await prices.routed(tx)
    assert ("price", added["id"]) in changes
    assert "target" in {noun for noun, _ in changes}
    assert price.amounts == Amounts(request_nano=1_000_000, gpu_second_nano=500_000)
    assert price.from_ms == to_ms(clock.now())


async def test_a_price_that_was_superseded_long_ago_is_history_at_once(
    api: Api, db: Database, clock: FixedClock
) -> None:
    now = await add(api, input_per_million="0.15")
    past = await add(api, input_per_million="0.30", **{"from": later(clock, -30)})

    assert await routed(db) == (now["id"],)
    assert (await api.get(f"/prices/{past['id']}"))["retired_at"] is not None


async def test_prices_are_kept_where_a_change_does_not_name_them(api: Api, db: Database) -> None:
    added = await add(api, input_per_million="0.15")
    listing = {"models": [{"name": "large", "context_length": 8_192}]}

    await api.call("PATCH", "/providers/vendor", listing, status=200)
    kept = await routed(db)
    await api.call("PATCH", "/providers/vendor", {"models": [{"name": "large", "prices": []}]})

    assert kept == (added["id"],)
    assert await routed(db) == ()


async def test_a_model_that_is_not_listed_has_no_price(api: Api) -> None:
    await api.call("PATCH", "/providers/vendor", {"models": [{"name": "large"}]}, status=200)

    answer = await api.call(
        "POST", "/providers/vendor/prices", {"model": "larg", "per_request": "1"}, status=422
    )

    assert answer.json()["findings"][0]["fix"] == "Did you mean `large`?"


async def test_a_static_server_has_prices_of_its_own(api: Api, db: Database) -> None:
    static = {**STATIC, "prices": [{"gpu_second": "0.001"}], "gpus": 4}
    made = await endpoint(api, "own", {"static": static})
    first = await routed(db, "own")

    moved = {"static": {**STATIC, "url": "http://gpu-8.internal:8000/v1", "gpus": 4}}
    changed = await api.call("PATCH", "/endpoints/own", {"targets": [moved]}, status=200)

    assert made["targets"][0]["prices"][0]["gpu_second"] == "0.001"
    (price,) = changed.json()["targets"][0]["prices"]
    assert price["gpu_second"] == "0.001"
    assert price["id"] not in first
    assert await routed(db, "own") == (price["id"],)
    await api.call("DELETE", "/endpoints/own", status=204)
    async with db.read() as tx:
        assert await prices.routed(tx) == []


async def test_two_prices_cannot_begin_at_once(api: Api) -> None:
    twice = [{"per_request": "1"}, {"per_request": "2"}]

    answer = await api.call(
        "PATCH", "/providers/vendor", {"models": [{"name": "large", "prices": twice}]}, status=422
    )

    assert "begin at the same time" in answer.text
