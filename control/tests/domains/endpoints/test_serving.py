"""How an endpoint serves: timeouts, choice, retries, caches, tiers, and chains of endpoints."""

from typing import Any

import pytest
from platform_api import Api

from towpath_server.core.db import Database
from towpath_server.domains.endpoints import service as endpoints

CHEAP = {"static": {"url": "http://small.internal:8000/v1", "model": "s", "name": "small"}}
STRONG = {"static": {"url": "http://large.internal:8000/v1", "model": "l", "name": "large"}}
TIER = {
    "levels": [{"name": "cheap", "target": "small"}, {"name": "strong", "target": "large"}],
    "rules": [{"name": "long", "when": "true", "level": "strong"}],
    "escalate_on": ["empty", {"mean_logprob": -1.5}],
}


@pytest.fixture(autouse=True)
async def _projects(api: Api) -> None:
    for team in ("care", "web"):
        await api.create("/teams", name=team)
        await api.create("/projects", team=team, name="chat")


def body(name: str = "chat", **changes: Any) -> dict[str, Any]:
    return {
        "name": name,
        "environment": "sandbox",
        "project": "care/chat",
        "targets": [CHEAP],
        **changes,
    }


async def refused(api: Api, **changes: Any) -> dict[str, Any]:
    """Return what is wrong with an endpoint, by place."""
    answer = await api.call("POST", "/endpoints", body(**changes), status=422)
    return {found["path"]: found for found in answer.json()["findings"]}


async def routed(db: Database) -> dict[str, Any]:
    async with db.read() as tx:
        return {endpoint.name: endpoint for endpoint in await endpoints.routed(tx)}


async def test_what_is_not_said_is_shown_with_its_default_and_not_sent(
    api: Api, db: Database
) -> None:
    made = await api.create("/endpoints", **body())

    assert made["kind"] == "plain"
    assert made["timeouts"] == {
        "connect": "2s",
        "first_byte": "5m",
        "silence": "1m",
        "total": "10m",
        "attempt": "0s",
    }
    assert made["balance"] == {"targets": "weighted", "replicas": None, "sticky": None}
    assert made["retries"] == {"attempts": 4, "budget_percent": 20, "min_per_second": 10}
    assert (made["stream_recovery"], made["cache"], made["tier"]) == ("none", None, None)
    assert (await routed(db))["chat"].serving == {}


async def test_every_field_reaches_the_gateway(api: Api, db: Database) -> None:
    made = await api.create(
        "/endpoints",
        **body(
            targets=[CHEAP, {**STRONG, "weight": 0}],
            timeouts={"connect": "500ms", "total": "1m30s", "attempt": "20s"},
            balance={"targets": "peak_ewma", "replicas": "prefix", "sticky": "user"},
            retries={"attempts": 2, "budget_percent": 5},
            cache={"ttl": "10m"},
            tier=TIER,
        ),
    )

    small, large = (target["id"] for target in made["targets"])
    assert made["kind"] == "tiered"
    assert made["tier"] == TIER
    assert (await routed(db))["chat"].serving == {
        "timeouts": {"connect_ms": 500, "total_ms": 90_000, "attempt_ms": 20_000},
        "balance": {"targets": "peak_ewma", "replicas": "prefix", "sticky": "user"},
        "retries": {"attempts": 2, "budget_percent": 5},
        "cache": {"ttl_ms": 600_000},
        "tier": {
            "levels": [{"name": "cheap", "target": small}, {"name": "strong", "target": large}],
            "rules": TIER["rules"],
            "escalate_on": ["empty", {"mean_logprob": -1.5}],
        },
    }


async def test_a_part_that_is_changed_is_replaced_and_others_stay(api: Api, db: Database) -> None:
    await api.create(
        "/endpoints",
        **body(timeouts={"total": "1m"}, cache={"ttl": "10m"}, retries={"attempts": 2}),
    )

    await api.call(
        "PATCH",
        "/endpoints/chat",
        {"timeouts": {"connect": "1s"}, "cache": None},
        status=200,
    )

    assert (await routed(db))["chat"].serving == {
        "timeouts": {"connect_ms": 1_000},
        "retries": {"attempts": 2},
    }


@pytest.mark.parametrize(
    "change",
    [
        {"timeouts": {"connect": "10"}},
        {"timeouts": {"connect": "0s"}},
        {"timeouts": {"total": "2h"}},
        {"timeouts": {"connect_ms": 10}},
        {"balance": {"targets": "random"}},
        {"retries": {"attempts": 0}},
        {"cache": {}},
        {"cache": {"ttl": "1ms"}},
        {"stream_recovery": "restart"},
        {"tier": {"levels": TIER["levels"][:1]}},  # type: ignore[index]
        {"tier": {**TIER, "escalate_on": [{"mean_logprob": 1}]}},
        {"fallback": [{"endpoint": "a", "deployment": "b"}]},
        {"targets": [{"endpoint": "other"}]},
    ],
    ids=str,
)
async def test_what_makes_no_sense_is_refused_where_it_stands(
    api: Api, change: dict[str, Any]
) -> None:
    found = await refused(api, **change)

    assert all(pointer.startswith(f"#/{next(iter(change))}") for pointer in found)


async def test_levels_and_rules_name_what_there_is(api: Api) -> None:
    tier = {
        "levels": [{"name": "cheap", "target": "smal"}, {"name": "cheap", "target": "large"}],
        "rules": [{"name": "long", "when": "true", "level": "chaep"}],
    }

    found = await refused(api, targets=[CHEAP, STRONG, STRONG | {"weight": 0}], tier=tier)

    assert found["#/tier/levels/0/target"]["fix"] == "Did you mean `small`?"
    assert "Several targets" in found["#/tier/levels/1/target"]["message"]
    assert "stands twice" in found["#/tier/levels/1/name"]["message"]
    assert found["#/tier/rules/0/level"]["fix"] == "Did you mean `cheap`?"


async def test_a_level_keeps_its_target_when_targets_change(api: Api, db: Database) -> None:
    await api.create("/endpoints", **body(targets=[CHEAP, STRONG], tier=TIER))
    moved = {"static": {**STRONG["static"], "url": "http://new.internal:8000/v1"}}

    gone = await api.call("PATCH", "/endpoints/chat", {"targets": [CHEAP]}, status=422)
    changed = await api.call("PATCH", "/endpoints/chat", {"targets": [CHEAP, moved]}, status=200)

    assert gone.json()["findings"][0]["path"] == "#/tier/levels/1/target"
    levels = (await routed(db))["chat"].serving["tier"]["levels"]
    assert [level["target"] for level in levels] == [t["id"] for t in changed.json()["targets"]]


async def test_a_chain_goes_on_with_another_endpoint(api: Api, db: Database) -> None:
    other = await api.create("/endpoints", **body("spare"))
    made = await api.create("/endpoints", **body(fallback=[STRONG, {"endpoint": "spare"}]))

    assert [one["kind"] for one in made["fallback"]] == ["static", "endpoint"]
    assert made["fallback"][1]["id"] == other["id"]
    assert (await routed(db))["chat"].fallback == (
        ("target", made["fallback"][0]["id"]),
        ("endpoint", other["id"]),
    )


async def test_an_endpoint_cannot_fall_back_to_itself_but_in_a_circle(api: Api) -> None:
    await api.create("/endpoints", **body("spare"))
    itself = await refused(api, fallback=[{"endpoint": "chat"}])
    await api.create("/endpoints", **body(fallback=[{"endpoint": "spare"}]))

    await api.call("PATCH", "/endpoints/spare", {"fallback": [{"endpoint": "chat"}]}, status=200)

    assert "to itself" in itself["#/fallback/0/endpoint"]["message"]


async def test_an_endpoint_that_others_fall_back_to_stays(api: Api) -> None:
    await api.create("/endpoints", **body("spare"))
    await api.create("/endpoints", **body(fallback=[{"endpoint": "spare"}]))

    answer = await api.call("DELETE", "/endpoints/spare", status=409)
    await api.call("PATCH", "/endpoints/chat", {"fallback": []}, status=200)
    await api.call("DELETE", "/endpoints/spare", status=204)

    assert (answer.json()["code"], "endpoint chat" in answer.json()["detail"]) == ("in_use", True)


async def test_a_fallback_opens_no_endpoint_to_callers_who_may_not_call_it(api: Api) -> None:
    """The platform may see every endpoint; the callers of this one may not call them all."""
    closed = body("closed", project="web/chat")
    await api.create("/endpoints", **closed)
    await api.create(
        "/endpoints",
        **{**closed, "name": "shared", "access": {"allow": [{"project": "care/chat"}]}},
    )

    found = await refused(api, fallback=[{"endpoint": "closed"}])
    await api.create("/endpoints", **body(fallback=[{"endpoint": "shared"}]))

    assert "may not call `closed`" in found["#/fallback/0/endpoint"]["message"]


async def test_a_fallback_is_of_the_same_environment(api: Api) -> None:
    await api.create("/endpoints", **body("spare", environment="staging"))

    found = await refused(api, fallback=[{"endpoint": "spare"}])

    assert "no endpoint `spare` in sandbox" in found["#/fallback/0/endpoint"]["message"]


async def test_how_a_static_server_is_called_reaches_the_gateway(api: Api, db: Database) -> None:
    handling = {
        "max_concurrency": 8,
        "queue": {"max_queued": 10, "max_wait": "5s"},
        "probe": {"path": "/health", "interval": "1s"},
        "gpus": 2,
        "query": "api-version=1",
        "headers": {"x-region": "eu"},
    }
    made = await api.create(
        "/endpoints", **body(targets=[{"static": {**CHEAP["static"], **handling}}])
    )
    again = await api.call(
        "PATCH",
        "/endpoints/chat",
        {"targets": [{"static": {**CHEAP["static"], **handling}}]},
        status=200,
    )

    (target,) = made["targets"]
    assert again.json()["targets"][0]["id"] == target["id"]
    assert target["queue"] == {"max_queued": 10, "max_wait": "5s"}
    assert target["probe"] == {"path": "/health", "interval": "1s", "timeout": "2s"}
    async with db.read() as tx:
        (found,) = await endpoints.routed_targets(tx)
    assert found.handling.document() == {
        "max_concurrency": 8,
        "queue": {"max_queued": 10, "max_wait_ms": 5_000},
        "probe": {"path": "/health", "interval_ms": 1_000, "timeout_ms": 2_000},
        "gpus": 2,
        "query": "api-version=1",
        "headers": {"x-region": "eu"},
    }


ABLE = {"static": {**CHEAP["static"], "quirks": ["continue_final_message"]}}


async def test_a_stream_is_gone_on_with_where_one_target_can(api: Api, db: Database) -> None:
    await api.create(
        "/providers", name="backup", vendor="llama-cpp", base_url="http://gpu.internal:8080/v1"
    )
    backup = {"provider": "backup", "model": "m"}

    for name, parts in {
        "own": {"targets": [ABLE]},
        "backed": {"fallback": [backup]},
        "onward": {"fallback": [{"endpoint": "own"}]},
    }.items():
        await api.create("/endpoints", **body(name, stream_recovery="continue", **parts))

    assert {one.serving["stream_recovery"] for one in (await routed(db)).values()} == {"continue"}


async def test_a_stream_that_nobody_could_go_on_with_is_refused(api: Api) -> None:
    vectors = {"static": {**ABLE["static"], "operations": ["embeddings"]}}

    found = await refused(api, stream_recovery="continue")
    assert "`small`" in found["#/stream_recovery"]["message"]
    assert "`assistant_prefill`" in found["#/stream_recovery"]["fix"]

    found = await refused(api, stream_recovery="continue", targets=[vectors])
    assert "no target of the endpoint chats" in found["#/stream_recovery"]["message"]

    made = await api.create("/endpoints", **body())
    answer = await api.call(
        "PATCH", f"/endpoints/{made['id']}", {"stream_recovery": "continue"}, status=422
    )
    assert answer.json()["findings"][0]["path"] == "#/stream_recovery"
