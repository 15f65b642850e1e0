"""Newer revisions take over step by step, and give way when their calls say so."""

from typing import Any

import pytest
from worlds import World, condition

from towpath_server.core import buckets
from towpath_server.core.signals import ShadowReport, TargetReport
from towpath_server.domains.deployments import service as deployments
from towpath_server.domains.deployments.service import rollouts
from towpath_server.domains.endpoints.models import Candidate

STEPS: dict[str, Any] = {
    "steps": [{"weight": 10, "hold": "5m"}, {"weight": 50, "hold": "10m"}],
    "rollbackOn": {"errorRate": "> 1%", "p95Latency": "> 1.5s"},
}
FAST, SLOW = buckets.bucket(40_000), buckets.bucket(2_000_000)


def report(at_ms: int, *, gateway: str = "gw_1", **counts: Any) -> TargetReport:
    plain = {"in_flight": 0, "queued": 0, "waiting_for_wake": False, "replicas": {}}
    return TargetReport(gateway=gateway, at_ms=at_ms, **{**plain, **counts})


async def say(world: World, *said: tuple[str, TargetReport]) -> None:
    async with world.db.write() as tx:
        await rollouts.hear(tx, said)


async def rolling(world: World, rollout: dict[str, Any], **spec: Any) -> Any:
    """Serve revision 1, and declare another version with a rollout; it is proved and begun."""
    made = await world.deploy(**spec)
    await world.until(made["id"], lambda found: found["phase"] == "Ready")
    await world.version("weights of the second version")
    await world.deploy(model={"uri": "models:/triage/2"}, rollout=rollout, **spec)
    await world.until(made["id"], begun)
    return made["id"]


def begun(found: Any) -> bool:
    return condition(found, "Exposed")["reason"] == "RollingOut"


async def share(world: World, id_: str) -> Candidate | None:
    target = await world.target(id_)
    assert target is not None
    return target.candidate


async def candidate(world: World, id_: str) -> Any:
    async with world.db.read() as tx:
        found = await deployments.routed_candidates(tx, ids=[id_])
    return found[0] if found else None


@pytest.mark.parametrize("mode", ["once", "twice", "crash"])
async def test_a_good_revision_goes_through_every_step(world: World, mode: str) -> None:
    id_ = await rolling(world, STEPS)
    world.mode = mode

    shares = [await share(world, id_)]
    for minutes in (5, 10):
        world.clock.advance(seconds=60 * minutes)
        await world.settle(id_)
        shares.append(await share(world, id_))

    assert shares == [Candidate(f"{id_}.2", 10), Candidate(f"{id_}.2", 50), None]
    done = await world.until(id_, lambda found: found["phase"] == "Ready")
    assert done["serving_revision"] == 2
    found = await world.api.get("/deployments/triage/rollout")
    assert (found["state"], found["percent"]) == ("completed", 0)
    assert [stage["weight"] for stage in found["stages"]] == [10, 50, 100]
    assert await candidate(world, f"{id_}.2") is None


async def test_while_it_rolls_out_the_newer_one_is_a_target_of_its_own(world: World) -> None:
    id_ = await rolling(world, STEPS)

    target, other = await world.target(id_), await candidate(world, f"{id_}.2")

    assert target is not None
    assert target.model is not None
    assert (target.model["version"], other.model["version"]) == (1, 2)
    assert (other.name, len(other.replicas), other.candidate) == ("triage", 1, None)
    async with world.db.read() as tx:
        assert await deployments.routed_candidates(tx, after=id_) == [other]


async def test_what_fails_is_rolled_back_with_its_numbers(world: World) -> None:
    id_ = await rolling(world, STEPS)

    took = {FAST: 48}
    await say(
        world,
        (id_, report(1, calls=1_000)),
        (f"{id_}.2", report(1, calls=60, failed=12, took=took)),
    )
    await world.settle(id_)

    found = await world.get()
    exposed = condition(found, "Exposed")
    assert (found["phase"], found["serving_revision"]) == ("Ready", 1)
    assert (exposed["status"], exposed["reason"]) == ("False", "RolledBack")
    assert exposed["message"] == (
        "At step 1 of 2, 12 of 60 calls failed (20.0%, and the limit is 1.0%). "
        "Revision 1 answers every call."
    )
    assert "towpath logs triage" in exposed["fix"]
    assert await share(world, id_) is None
    shown = await world.api.get("/deployments/triage/rollout")
    assert shown["state"] == "rolled_back"
    evidence = shown["stages"][0]["evidence"]
    assert (evidence["calls"], evidence["failed"], evidence["serving_calls"]) == (60, 12, 0)
    history = (await world.api.get("/deployments/triage/revisions"))["items"]
    assert [one["rollout"] for one in history] == ["rolled_back", None]
    assert "12 of 60" in history[0]["rollout_message"]
    events = (await world.api.get("/deployments/triage/events?limit=100"))["items"]
    assert [one["reason"] for one in events if one["type"] == "Rollout"] == [
        "RollingOut",
        "RolledBack",
    ]


async def test_what_was_rolled_back_ends_once_gateways_have_no_calls_there(world: World) -> None:
    id_ = await rolling(world, STEPS)
    await say(world, (f"{id_}.2", report(1, calls=60, failed=60)))
    await world.settle(id_)

    leaving = [one for one in (await world.get())["replicas"] if one["revision"] == 2]
    other = await candidate(world, f"{id_}.2")
    assert [one["retiring"] for one in leaving] == [True]
    assert other is not None
    assert other.replicas == ()
    world.clock.advance(seconds=5)
    await world.settle(id_)

    assert {one["revision"] for one in (await world.get())["replicas"]} == {1}
    assert await candidate(world, f"{id_}.2") is None


async def test_what_is_slow_is_rolled_back_by_its_95th_percentile(world: World) -> None:
    id_ = await rolling(world, STEPS)

    await say(world, (id_, report(1)), (f"{id_}.2", report(1)))
    await say(
        world,
        (id_, report(2, calls=200, took={FAST: 200})),
        (f"{id_}.2", report(2, calls=20, took={FAST: 18, SLOW: 2})),
    )
    await world.settle(id_)

    said = condition(await world.get(), "Exposed")["message"]
    assert said.startswith("At step 1 of 2, p95 of 20 calls is 2 s (serving: 41 ms), and the limit")


async def test_what_answers_otherwise_is_rolled_back_before_any_caller_meets_it(
    world: World,
) -> None:
    shadow = {"shadow": {"percent": 100, "hold": "2m"}, "rollbackOn": {"differences": "> 5%"}}
    id_ = await rolling(world, shadow)
    assert await share(world, id_) == Candidate(f"{id_}.2", 0, 100)

    copies = ShadowReport(40, 0, 40, 38, 0, {FAST: 40}, {"$.outputs[0].label": 38})
    await say(world, (f"{id_}.2", report(1, shadow=copies)))
    await world.settle(id_)

    exposed = condition(await world.get(), "Exposed")
    assert "38 of 40 answers differ" in exposed["message"]
    assert "`$.outputs[0].label` (38)" in exposed["message"]
    shown = await world.api.get("/deployments/triage/rollout")
    assert shown["stages"][0]["evidence"]["differences"] == {"$.outputs[0].label": 38}


async def test_a_gateway_that_begins_anew_and_a_second_one_are_added_up(world: World) -> None:
    id_ = await rolling(world, STEPS)

    await say(world, (f"{id_}.2", report(1, calls=30)))
    await say(world, (f"{id_}.2", report(2, calls=4)))
    await say(world, (f"{id_}.2", report(2, gateway="gw_2", calls=6)))

    shown = await world.api.get("/deployments/triage/rollout")
    assert shown["evidence"]["calls"] == 40


async def test_what_it_refuses_counts_beyond_what_the_serving_one_refuses(world: World) -> None:
    id_ = await rolling(world, STEPS)

    await say(world, (id_, report(1)), (f"{id_}.2", report(1)))
    same = {"calls": 100, "refused": 10}
    await say(world, (id_, report(2, **same)), (f"{id_}.2", report(2, **same)))
    await world.settle(id_)
    assert (await share(world, id_)) is not None
    await say(world, (f"{id_}.2", report(3, calls=200, refused=60)))
    await world.settle(id_)

    assert "40 of 200 calls failed" in condition(await world.get(), "Exposed")["message"]


async def test_with_few_calls_nothing_is_judged_but_what_always_fails(world: World) -> None:
    id_ = await rolling(world, STEPS)

    await say(world, (f"{id_}.2", report(1, calls=10, failed=4)))
    await world.settle(id_)
    assert (await share(world, id_)) is not None
    await say(world, (f"{id_}.2", report(1, gateway="gw_2")))
    world.clock.advance(seconds=300)
    await world.settle(id_)
    assert await share(world, id_) == Candidate(f"{id_}.2", 50)
    await say(world, (f"{id_}.2", report(2, calls=15, failed=9)))
    await world.settle(id_)

    assert "5 of 5 calls failed" in condition(await world.get(), "Exposed")["message"]


async def test_a_pause_stops_the_clock_and_not_the_judging(world: World) -> None:
    id_ = await rolling(world, STEPS)
    world.clock.advance(seconds=200)

    paused = await world.api.call("POST", "/deployments/triage/rollout/pause", status=200)
    world.clock.advance(seconds=3_600)
    await world.settle(id_)
    while_paused = await share(world, id_)
    await world.api.call("POST", "/deployments/triage/rollout/resume", status=200)
    world.clock.advance(seconds=99)
    await world.settle(id_)
    before = await share(world, id_)
    world.clock.advance(seconds=1)
    await world.settle(id_)

    assert paused.json()["state"] == "paused"
    assert paused.json()["paused_by"]
    assert [one and one.percent for one in (while_paused, before)] == [10, 10]
    assert (await share(world, id_)) == Candidate(f"{id_}.2", 50)
    audit = (await world.api.get("/audit?limit=100"))["items"]
    acts = [one["action"] for one in audit if "rollout" in one["action"]]
    assert sorted(acts) == ["deployment.rollout_paused", "deployment.rollout_resumed"]


async def test_what_is_finished_skips_the_steps_that_are_left(world: World) -> None:
    id_ = await rolling(world, STEPS)

    await world.api.call("POST", "/deployments/triage/rollout/finish", status=200)
    done = await world.until(id_, lambda found: found["phase"] == "Ready")

    assert done["serving_revision"] == 2
    refused = await world.api.call("POST", "/deployments/triage/rollout/abort", status=409)
    assert refused.json()["code"] == "rollout_over"


@pytest.mark.parametrize("way", ["abort", "rollback"])
async def test_what_is_aborted_leaves_what_serves_as_it_is(world: World, way: str) -> None:
    id_ = await rolling(world, STEPS)

    if way == "abort":
        await world.api.call("POST", "/deployments/triage/rollout/abort", status=200)
    else:
        back = await world.api.call("POST", "/deployments/triage/rollback", {}, status=200)
        assert back.json()["revision"] == 2
    await world.settle(id_)

    found = await world.get()
    assert (found["phase"], found["serving_revision"]) == ("Ready", 1)
    assert condition(found, "Exposed")["reason"] == "Aborted"
    shown = await world.api.get("/deployments/triage/rollout")
    assert (shown["state"], bool(shown["ended_by"])) == ("aborted", True)


async def test_a_newer_revision_replaces_the_one_that_rolls_out(world: World) -> None:
    id_ = await rolling(world, STEPS)
    await world.version("weights of the third version")

    await world.deploy(model={"uri": "models:/triage/3"}, rollout=STEPS)
    await world.until(id_, begun)

    assert await share(world, id_) == Candidate(f"{id_}.3", 10)
    former = await world.api.get("/deployments/triage/rollout?of_revision=2")
    assert former["state"] == "replaced"
    world.clock.advance(seconds=5)
    await world.settle(id_)
    assert {one["revision"] for one in (await world.get())["replicas"]} == {1, 3}


async def test_a_revision_with_a_failed_test_is_rolled_back_before_any_call(world: World) -> None:
    made = await world.deploy()
    await world.until(made["id"], lambda found: found["phase"] == "Ready")
    await world.version("weights of the second version")
    test = {"name": "t", "request": {"inputs": ["a"]}, "expect": {"status": 418}}

    await world.deploy(model={"uri": "models:/triage/2"}, rollout=STEPS, smokeTests=[test])
    found = await world.until(
        made["id"], lambda found: condition(found, "Exposed")["reason"] == "RolledBack"
    )

    assert (found["phase"], found["serving_revision"]) == ("Ready", 1)
    assert "Smoke tests failed." in condition(found, "Exposed")["message"]


async def test_a_surge_of_one_replaces_replicas_one_by_one(world: World) -> None:
    scaling = {"minReplicas": 3, "maxReplicas": 3}
    made = await world.deploy(scaling=scaling)
    await world.until(made["id"], lambda found: found["phase"] == "Ready")
    await world.version("weights of the second version")
    most, shares = 0, set()

    async def shown(_id: str) -> Any:
        nonlocal most
        world.clock.advance(seconds=3)
        found = await world.get()
        most = max(most, len(found["replicas"]))
        target = await world.target(made["id"])
        if target is not None and target.candidate is not None:
            shares.add(target.candidate.percent)
        world.changed.set()
        return found

    world.shown = shown
    await world.deploy(model={"uri": "models:/triage/2"}, rollout={"maxSurge": 1}, scaling=scaling)
    done = await world.until(made["id"], lambda found: found["phase"] == "Ready")

    assert (done["serving_revision"], most) == (2, 4)
    assert max(shares) > 25
