"""Providers: their credential is sealed, and what changes reaches the targets that use them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from platform_api import Api

from towpath_server.core import revision
from towpath_server.core.db import Database
from towpath_server.core.money import Amounts, from_nano, to_nano
from towpath_server.core.seal import Sealer
from towpath_server.domains.prices import service as prices
from towpath_server.domains.providers import service as providers

BODY = {
    "name": "vendor",
    "dialect": "openai",
    "base_url": "https://api.vendor.example/v1",
    "credential": "a-vendor-secret",
    "models": [
        {"name": "large", "prices": [{"input_per_million": "0.15", "output_per_million": "0.6"}]}
    ],
}


async def _endpoint(api: Api) -> Any:
    await api.create("/teams", name="care")
    await api.create("/projects", team="care", name="chat")
    return await api.create(
        "/endpoints",
        name="chat",
        environment="sandbox",
        project="care/chat",
        targets=[{"provider": "vendor", "model": "large"}],
    )


async def _changes(db: Database, after: int) -> set[tuple[str, str]]:
    async with db.read() as tx:
        return {(change.noun, change.id) for change in await revision.since(tx, after, 100)}


async def _current(db: Database) -> int:
    async with db.read() as tx:
        return await revision.current(tx)


async def test_a_credential_is_never_given_out(api: Api) -> None:
    made = await api.create("/providers", **BODY)
    shown = await api.get("/providers/vendor")
    audit = await api.get("/audit")

    assert made["has_credential"]
    for answer in (made, shown, audit):
        assert "a-vendor-secret" not in str(answer)


async def test_a_new_credential_replaces_the_former_one(
    api: Api, db: Database, sealer: Sealer
) -> None:
    await api.create("/providers", **BODY)
    endpoint = await _endpoint(api)
    async with db.read() as tx:
        (former,) = await providers.routed_credentials(tx)
    before = await _current(db)

    await api.call("PATCH", "/providers/vendor", {"credential": "another-secret"}, status=200)

    async with db.read() as tx:
        (now,) = await providers.routed_credentials(tx)
    assert sealer.open(now.sealed, id=now.id).reveal() == "another-secret"
    assert {
        ("credential", former.id),
        ("credential", now.id),
        ("target", endpoint["targets"][0]["id"]),
    } <= await _changes(db, before)


async def test_a_changed_price_is_a_new_price(api: Api, db: Database) -> None:
    await api.create("/providers", **BODY)
    async with db.read() as tx:
        (former,) = await prices.routed(tx)
    same = BODY["models"]
    dearer = [{"name": "large", "prices": [{"input_per_million": "1", "output_per_million": "2"}]}]

    await api.call("PATCH", "/providers/vendor", {"models": same}, status=200)
    async with db.read() as tx:
        assert await prices.routed(tx) == [former]
    await api.call("PATCH", "/providers/vendor", {"models": dearer}, status=200)

    async with db.read() as tx:
        (now,) = await prices.routed(tx)
    assert now.id != former.id
    assert now.amounts == Amounts(1_000_000_000, 2_000_000_000)


async def test_a_provider_that_endpoints_use_stays(api: Api) -> None:
    await api.create("/providers", **BODY)
    await _endpoint(api)

    answer = await api.call("DELETE", "/providers/vendor", status=409)
    await api.call("DELETE", "/endpoints/chat", status=204)
    await api.call("DELETE", "/providers/vendor", status=204)

    assert "endpoint chat" in answer.json()["detail"]


@pytest.mark.parametrize(
    "change",
    [
        {"credential": "with space"},
        {"credential": "new\nline"},
        {"models": [{"name": "a"}, {"name": "a"}]},
        {
            "models": [
                {"name": "a", "prices": [{"input_per_million": "-1", "output_per_million": "0"}]}
            ]
        },
        {"models": [{"name": "a", "prices": [{"input_per_million": 1}]}]},
        {"models": [{"name": "a", "prices": [{}]}]},
        {"models": [{"name": "a", "prices": [{"per_request": "1"}, {"gpu_second": "1"}]}]},
        {"headers": {"Authorization": "Bearer x"}},
        {"query": "a=b#c"},
        {"ca_pem": "no certificate"},
        {"queue": {"max_wait": "10"}},
        {"probe": {"path": "health"}},
        {"header": "x y"},
        {"base_url": None},
        {"max_data_class": "secret"},
        {"nmae": "x"},
    ],
)
async def test_changes_that_make_no_sense_are_refused(api: Api, change: dict[str, Any]) -> None:
    await api.create("/providers", **BODY)

    answer = await api.call("PATCH", "/providers/vendor", change, status=422)

    assert answer.json()["findings"]
    assert "with space" not in answer.text
    assert (await api.get("/providers/vendor"))["revision"] == 1


async def test_a_name_is_taken_once(api: Api) -> None:
    await api.create("/providers", **BODY)

    answer = await api.call("POST", "/providers", BODY, status=409)

    assert answer.json()["code"] == "name_taken"


@given(st.integers(0, 10**15))
def test_amounts_are_exact(nano: int) -> None:
    """Writing and reading an amount returns it, to the nano-unit."""
    assert to_nano(from_nano(nano)) == nano


@pytest.mark.parametrize("amount", ["", "x", "NaN", "Infinity", "-0.1", "1e300", "0.0000000001"])
def test_what_is_no_amount_is_refused(amount: str) -> None:
    with pytest.raises(ValueError, match="must"):
        to_nano(amount)
