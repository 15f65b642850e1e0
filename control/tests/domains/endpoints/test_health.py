"""The health of endpoints: what is declared, and what the gateways meet."""

from typing import Any

import pytest
from platform_api import Api

from towpath_server.core.clock import FixedClock, to_ms
from towpath_server.core.signals import Board, ReplicaReport, TargetReport

SICK = ReplicaReport(
    breaker="open",
    in_flight=0,
    failures=5,
    last_error="connection refused",
    last_error_at_ms=1_795_435_190_000,
    ejected_until_ms=1_795_435_230_000,
)
WELL = ReplicaReport(breaker="closed", in_flight=3, failures=0, latency_ms=12.5)


@pytest.fixture
async def endpoint(api: Api) -> Any:
    for team in ("care", "web"):
        await api.create("/teams", name=team)
        await api.create("/projects", team=team, name="chat")
    static = {"url": "http://gpu-7.internal:8000/v1", "model": "llama"}
    return await api.create(
        "/endpoints",
        name="chat",
        environment="sandbox",
        project="care/chat",
        targets=[{"static": {**static, "name": "a"}}, {"static": {**static, "name": "b"}}],
        access={"visibility": "organization"},
    )


@pytest.fixture
def say(app: Any, clock: FixedClock) -> Any:
    board: Board = app.state.towpath.board

    def say(gateway: str, **replicas: ReplicaReport) -> None:
        at_ms = to_ms(clock.now())
        targets = [
            (id_, TargetReport(gateway, at_ms, one.in_flight, 0, False, {id_: one}))
            for id_, one in replicas.items()
        ]
        board.take(gateway, at_ms, targets=targets)

    return say


def ids(endpoint: Any) -> tuple[str, str]:
    first, second = endpoint["targets"]
    return first["id"], second["id"]


async def test_without_a_word_of_a_gateway_it_is_as_declared(api: Api, endpoint: Any) -> None:
    health = await api.get("/endpoints/chat/health")

    assert (health["state"], health["gateways"]) == ("ok", [])
    assert [target["state"] for target in health["targets"]] == ["ok", "ok"]


async def test_an_ejected_target_is_shown_with_reason_and_end(
    api: Api, endpoint: Any, say: Any, clock: FixedClock
) -> None:
    first, second = ids(endpoint)
    say("gw_1", **{first: SICK, second: WELL})
    clock.advance(seconds=2)

    health = await api.get("/endpoints/chat/health")
    shown = await api.get("/endpoints/chat")

    sick, well = health["targets"]
    assert health["state"] == "degraded"
    assert (sick["state"], sick["running"]) == ("ejected", 1)
    assert sick["ejected_until"] == "2026-11-23T12:00:30Z"
    assert sick["replicas"][0]["last_error"] == "connection refused"
    assert (well["state"], well["in_flight"]) == ("ok", 3)
    assert [(one["id"], one["age_ms"]) for one in health["gateways"]] == [("gw_1", 2_000)]
    assert shown["status"]["ejected"] == ["a"]


async def test_what_one_gateway_of_two_avoids_is_degraded(
    api: Api, endpoint: Any, say: Any
) -> None:
    first, _ = ids(endpoint)
    say("gw_1", **{first: SICK})
    say("gw_2", **{first: WELL})

    (target, _) = (await api.get("/endpoints/chat/health"))["targets"]

    assert target["state"] == "degraded"
    assert [one["gateway"] for one in target["replicas"]] == ["gw_1", "gw_2"]


async def test_it_is_down_when_every_target_is_out(api: Api, endpoint: Any, say: Any) -> None:
    first, second = ids(endpoint)
    say("gw_1", **{first: SICK, second: SICK})

    assert (await api.get("/endpoints/chat/health"))["state"] == "down"


async def test_what_a_gateway_no_longer_mentions_is_well(
    api: Api, endpoint: Any, say: Any, clock: FixedClock
) -> None:
    """Gateways tell what is not as usual; silence about a target means that it is well again."""
    first, second = ids(endpoint)
    say("gw_1", **{first: SICK})
    clock.advance(seconds=1)
    say("gw_1", **{second: WELL})

    (target, _) = (await api.get("/endpoints/chat/health"))["targets"]

    assert (target["state"], target["ejected_until"]) == ("ok", None)
    assert target["replicas"][0]["last_error"] == "connection refused"


async def test_replicas_are_for_the_owning_team(api: Api, endpoint: Any, say: Any) -> None:
    first, _ = ids(endpoint)
    say("gw_1", **{first: SICK})
    scopes = ["read"]
    own = await api.create(
        "/keys", project="care/chat", environment="sandbox", name="k", scopes=scopes
    )
    other = await api.create(
        "/keys", project="web/chat", environment="sandbox", name="k", scopes=scopes
    )

    inside = await api.as_(own["key"]).get("/endpoints/chat/health")
    outside = await api.as_(other["key"]).get("/endpoints/chat/health")

    assert inside["targets"][0]["replicas"]
    assert outside["targets"][0]["replicas"] is None
    assert outside["targets"][0]["state"] == "ejected"
    assert "refused" not in str(outside)
