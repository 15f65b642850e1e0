"""The number of replicas follows the load: up at once, down with patience, to none and back."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import httpx2
import pytest
from sqlalchemy import select, update
from worlds import World, condition

from towpath_server.core.clock import to_ms
from towpath_server.core.db import Database, Tx
from towpath_server.core.secret import Secret
from towpath_server.core.signals import ReplicaReport, TargetReport
from towpath_server.domains.deployments.models.scaling import Decision
from towpath_server.domains.deployments.reconcile import Scaler
from towpath_server.domains.deployments.service import scaling
from towpath_server.domains.deployments.tables import deployment_revisions as revisions
from towpath_server.domains.deployments.tables import deployments
from towpath_server.gatewaylink.app import Link
from towpath_server.gatewaylink.catalog import catalog
from towpath_server.gatewaylink.gateways import Gateways
from towpath_server.gatewaylink.watch import Watch

ELASTIC = {"minReplicas": 1, "maxReplicas": 4, "target": 2}
MORNING = {"cron": "0 7 * * *", "duration": "12h", "minReplicas": 2}
SLEEPY = {"minReplicas": 0, "maxReplicas": 2, "target": 2, "idleTimeout": "5m"}


@dataclass
class Load:
    """A gateway that speaks every second, and the scaler that listens."""

    world: World
    deployment: str
    calls: int = 0
    busy_ms: int = 0
    made: list[Decision] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.scaler = Scaler(self.world.db, self.world.facilities)

    async def say(self, **said: Any) -> bool:
        """Say once what the load is; tell whether somebody waits."""
        quiet = TargetReport("gw_1", to_ms(self.world.clock.now()), 0, 0, False, {})
        known = {"calls": self.calls, "busy_ms": self.busy_ms}
        report = replace(quiet, **known, **said)
        reports = [(self.deployment, report)]
        async with self.world.db.write() as tx:
            assert await scaling.concerns(tx, reports)
            return await scaling.hear(tx, reports)

    async def look(self) -> Sequence[Decision]:
        """Let the scaler look once."""
        made = await self.scaler.look()
        self.made += made
        return made

    async def run(self, seconds: int, **said: Any) -> list[Decision]:
        """Have this load for so many seconds; return what was decided meanwhile."""
        made: list[Decision] = []
        for _ in range(seconds):
            self.world.clock.advance(seconds=1)
            if said:
                await self.say(**said)
            made += await self.look()
        return made

    async def pass_by(self, seconds: int, *, every: int = 10) -> list[Decision]:
        """Let time go by in silence, with a look now and then."""
        made: list[Decision] = []
        for _ in range(0, seconds, every):
            self.world.clock.advance(seconds=every)
            made += await self.look()
        return made


def _ready(deployment: Any) -> bool:
    return deployment["phase"] == "Ready"


def _replicas(count: int) -> Any:
    def so(deployment: Any) -> bool:
        serving = [one for one in deployment["replicas"] if not one["retiring"]]
        return deployment["phase"] == "Ready" and deployment["replicas_ready"] == count == len(
            serving
        )

    return so


def _changes(made: Sequence[Decision]) -> list[tuple[int, int, str]]:
    return [(one.before, one.after, one.why) for one in made]


@pytest.fixture
async def load(world: World) -> Load:
    made = await world.deploy(scaling=ELASTIC)
    await world.until(made["id"], _ready)
    return Load(world, made["id"])


async def asleep(world: World) -> Load:
    """Return a deployment that nobody has asked for as long as it waits for that."""
    made = await world.deploy(scaling=SLEEPY)
    await world.until(made["id"], _ready)
    load = Load(world, made["id"])
    assert _changes(await load.pass_by(310)) == [(1, 0, "Idle")]
    await world.settle(made["id"])
    world.clock.advance(seconds=5)
    await world.settle(made["id"])
    return load


async def test_a_deployment_begins_with_its_least_number(load: Load) -> None:
    shown = await load.world.get()

    assert (shown["replicas_wanted"], shown["replicas_ready"]) == (1, 1)
    assert "1 to 4 replicas by concurrency" in condition(shown, "Checked")["message"]


async def test_a_rise_is_answered_with_the_next_word_of_the_gateway(load: Load) -> None:
    await load.run(3, in_flight=1)

    (decision,) = await load.run(1, in_flight=7)

    assert (decision.before, decision.after, decision.why) == (1, 2, "Panic")
    assert (decision.value, decision.metric, decision.target) == (4.0, "concurrency", 2.0)
    assert _changes(await load.run(1, in_flight=7)) == [(2, 4, "Panic")]
    await load.world.until(load.deployment, _replicas(4))


async def test_what_waits_counts_as_much_as_what_is_under_way(load: Load) -> None:
    assert _changes(await load.run(2, in_flight=2, queued=4)) == [(1, 3, "Panic")]


async def test_it_never_has_more_than_declared(load: Load) -> None:
    await load.run(3, in_flight=500)

    assert (await load.world.get())["replicas_wanted"] == 4
    assert {one.most for one in load.made} == {4}


async def test_replicas_stay_for_a_minute_and_go_by_halves(load: Load) -> None:
    await load.run(5, in_flight=8)
    await load.world.until(load.deployment, _replicas(4))

    quiet = await load.run(55, in_flight=1)
    down = await load.run(80, in_flight=1)

    assert quiet == []
    assert _changes(down) == [(4, 2, "Load"), (2, 1, "Load")]
    assert down[1].at_ms - down[0].at_ms >= 10_000
    await load.world.settle(load.deployment)
    load.world.clock.advance(seconds=5)
    await load.world.until(load.deployment, _replicas(1))


async def test_a_control_plane_that_has_just_started_takes_nothing_away(load: Load) -> None:
    await load.run(5, in_flight=8)
    await load.world.until(load.deployment, _replicas(4))
    again = Load(load.world, load.deployment)

    assert await again.run(58, in_flight=1) == []
    assert _changes(await again.run(5, in_flight=1)) == [(4, 2, "Load")]


async def test_short_calls_between_two_words_count_by_how_long_they_took(load: Load) -> None:
    await load.run(2, in_flight=0)
    for _ in range(4):  # 100 calls of 60 ms each: six at a time
        load.calls += 100
        load.busy_ms += 6_000
        await load.run(1, in_flight=0)

    assert (await load.world.get())["replicas_wanted"] == 3


@pytest.mark.parametrize(
    ("metric", "target", "said"),
    [
        ("rps", 50, {"calls": 120}),
        ("queue", 4, {"queued": 10}),
        ("tokens", 1000, {"tokens": 2500}),
    ],
)
async def test_other_metrics_count_what_they_say(
    world: World, metric: str, target: float, said: dict[str, int]
) -> None:
    made = await world.deploy(scaling={**ELASTIC, "metric": metric, "target": target})
    await world.until(made["id"], _ready)
    load = Load(world, made["id"])
    await load.run(1, in_flight=1)
    for _ in range(3):
        load.calls += said.get("calls", 0)
        await load.run(1, in_flight=1, **{k: v for k, v in said.items() if k != "calls"})

    assert (await world.get())["replicas_wanted"] == 3


async def test_words_of_several_gateways_are_added_up(load: Load) -> None:
    for _ in range(3):
        load.world.clock.advance(seconds=1)
        await load.say(in_flight=3, gateway="gw_1")
        await load.say(in_flight=3, gateway="gw_2")
        await load.look()

    assert (await load.world.get())["replicas_wanted"] == 3


async def test_what_a_gateway_said_long_ago_is_no_load(load: Load) -> None:
    await load.say(in_flight=8)
    load.world.clock.advance(seconds=10)

    assert await load.look() == []


@pytest.mark.parametrize("mode", ["once", "twice", "crash"])
async def test_it_sleeps_after_its_idle_timeout_and_holds_nothing(world: World, mode: str) -> None:
    world.mode = mode
    load = await asleep(world)

    shown = await world.get()
    target = await world.target(load.deployment)

    assert (shown["phase"], shown["replicas"], shown["replicas_wanted"]) == ("Idle", [], 0)
    assert {c["status"] for c in shown["conditions"]} == {"True"}
    assert condition(shown, "Exposed")["message"] == "The first call of `triage` wakes it."
    assert world.machine.replicas.ids() == set()
    assert target is not None
    assert target.replicas == ()
    assert target.handling.cold_start is not None
    endpoint = (await world.api.get("/endpoints"))["items"][0]
    assert endpoint["status"]["ready"]
    state = await world.api.get("/quotas/care:sandbox/state")
    assert state["used"]["replicas"] == 0


async def test_it_does_not_sleep_while_it_has_calls(world: World) -> None:
    made = await world.deploy(scaling=SLEEPY)
    await world.until(made["id"], _ready)
    load = Load(world, made["id"])

    for _ in range(40):
        load.calls += 1
        assert await load.run(1, in_flight=0) == []
        assert await load.pass_by(20) == []


@pytest.mark.parametrize("mode", ["once", "twice", "crash"])
async def test_the_first_call_wakes_it(world: World, mode: str) -> None:
    world.mode = mode
    load = await asleep(world)

    assert await load.say(queued=1, waiting_for_wake=True)
    (decision,) = await load.look()
    assert (decision.before, decision.after, decision.why) == (0, 1, "Woken")
    done = await world.until(load.deployment, _ready)

    target = await world.target(load.deployment)
    assert target is not None
    assert len(target.replicas) == done["replicas_ready"] == 1
    assert await load.run(10, in_flight=1) == []


async def test_a_gateways_signal_reaches_who_decides(world: World) -> None:
    load = await asleep(world)
    bodies = world.facilities.bodies
    credential = Secret("a-link-credential-of-32-characters-")
    link = Link(world.db, catalog("EUR"), Watch(world.db), Gateways(), credential, bodies=bodies)
    woken: list[str] = []
    link.wake = lambda: woken.append("at once")
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(link.app()),
        base_url="http://link.test",
        headers={"authorization": f"Bearer {credential.reveal()}"},
    ) as gateway:
        waits = {"in_flight": 0, "queued": 3, "waiting_for_wake": True}
        signals = {
            "gateway_id": "gw_1",
            "time_ms": to_ms(world.clock.now()),
            "endpoints": {},
            "targets": {load.deployment: waits, "tgt_other": waits},
        }
        answer = await gateway.post("/link/v1/signals", json=signals)

    assert (answer.status_code, woken) == (204, ["at once"])
    assert _changes(await load.look()) == [(0, 2, "Woken")]


async def test_how_long_waking_took_is_learned_and_told(world: World) -> None:
    load = await asleep(world)
    await load.say(queued=1, waiting_for_wake=True)
    await load.look()
    await world.until(load.deployment, _ready)

    shown = await world.api.get("/deployments/triage/scaling")

    started = shown["cold_starts"]
    assert len(started["last"]) == 1
    assert started["total_ms"]["p95"] >= started["engine_ms"]["p95"] > 0
    target = await world.target(load.deployment)
    assert target is not None
    assert target.handling.cold_start is not None
    assert target.handling.cold_start.estimate_ms == started["estimate_ms"]


async def test_a_schedule_keeps_replicas_while_it_holds(world: World) -> None:
    # The clock of these tests starts on a Thursday at noon.
    at = world.clock.now().replace(minute=0)
    begins = {"cron": f"{at.minute} {(at.hour + 1) % 24} * * *", "duration": "1h", "minReplicas": 2}
    made = await world.deploy(scaling={**SLEEPY, "schedule": [begins]})
    await world.until(made["id"], _ready)
    load = Load(world, made["id"])

    made_ = await load.pass_by(3 * 3_600, every=30)

    assert [(one.after, one.why) for one in made_] == [
        (0, "Idle"),
        (2, "Schedule"),
        (0, "Idle"),
    ]
    assert 3_500_000 < made_[2].at_ms - made_[1].at_ms < 3_700_000


async def test_a_rollout_of_what_sleeps_goes_by_time_and_sleeps_again(world: World) -> None:
    load = await asleep(world)
    await world.version("weights of the second version")
    steps = {"steps": [{"weight": 10, "hold": "5m"}]}

    await world.deploy(model={"uri": "models:/triage/2"}, scaling=SLEEPY, rollout=steps)
    rolling = await world.until(load.deployment, lambda d: len(d["replicas"]) == 1 and _begun(d))
    assert await load.pass_by(290) == []
    world.clock.advance(seconds=10)
    done = await world.until(load.deployment, _ready)

    assert (rolling["serving_revision"], done["serving_revision"]) == (1, 2)
    assert _changes(await load.pass_by(310)) == [(1, 0, "Idle")]


def _begun(deployment: Any) -> bool:
    return condition(deployment, "Exposed")["reason"] == "RollingOut"


async def test_the_load_of_both_revisions_of_a_rollout_is_one_demand(load: Load) -> None:
    world = load.world
    await world.version("weights of the second version")
    steps = {"steps": [{"weight": 10, "hold": "5m"}]}
    await world.deploy(model={"uri": "models:/triage/2"}, scaling=ELASTIC, rollout=steps)
    await world.until(load.deployment, _begun)

    both = [
        (target, TargetReport("gw_1", 1, in_flight, 0, False, {}, calls=calls))
        for target, in_flight, calls in ((load.deployment, 2, 5), (f"{load.deployment}.2", 3, 7))
    ]
    async with world.db.write() as tx:
        await scaling.hear(tx, both)
        (said,) = await scaling.demands(tx, wanted=[load.deployment])

    assert (said.in_flight, said.calls) == (5, 12)


async def test_a_new_revision_of_what_sleeps_proves_itself_awake_and_sleeps_again(
    world: World,
) -> None:
    load = await asleep(world)
    await world.version("weights of the second version")

    await world.deploy(model={"uri": "models:/triage/2"}, scaling=SLEEPY)
    before = await world.target(load.deployment)
    done = await world.until(load.deployment, _ready)

    assert before is not None
    assert before.handling.cold_start is not None
    assert (done["serving_revision"], done["replicas_ready"]) == (2, 1)
    await load.pass_by(310)
    await world.settle(load.deployment)
    world.clock.advance(seconds=5)
    await world.settle(load.deployment)
    assert (await world.get())["phase"] == "Idle"


async def test_a_new_revision_takes_over_with_as_many_replicas_as_the_load_asks_for(
    load: Load,
) -> None:
    world = load.world
    await load.run(5, in_flight=6)
    await world.until(load.deployment, _replicas(3))
    await world.version("weights of the second version")

    await world.deploy(model={"uri": "models:/triage/2"}, scaling=ELASTIC)
    done = await world.until(load.deployment, lambda d: d["serving_revision"] == 2)

    assert done["replicas_ready"] == 3


async def test_what_has_calls_is_not_ended_though_it_gets_no_new_ones(load: Load) -> None:
    world = load.world
    await load.run(5, in_flight=6)
    await world.until(load.deployment, _replicas(3))
    await load.run(65, in_flight=1)
    await load.run(70, in_flight=1)
    await world.settle(load.deployment)
    leaving = [one["id"] for one in (await world.get())["replicas"] if one["retiring"]]
    assert len(leaving) == 2
    busy = {leaving[0]: ReplicaReport(breaker="closed", in_flight=1, failures=0)}

    for _ in range(20):
        world.clock.advance(seconds=1)
        await load.say(in_flight=1, replicas=busy)
        await world.settle(load.deployment)

    assert [one["id"] for one in (await world.get())["replicas"] if one["retiring"]] == leaving[:1]
    world.clock.advance(seconds=5)
    await world.settle(load.deployment)
    assert not [one for one in (await world.get())["replicas"] if one["retiring"]]


async def test_what_is_deleted_ends_its_calls_first_for_as_long_as_it_may(load: Load) -> None:
    world = load.world
    (replica,) = [one["id"] for one in (await world.get())["replicas"]]
    busy = {replica: ReplicaReport(breaker="closed", in_flight=1, failures=0)}

    await world.api.call("DELETE", f"/deployments/{load.deployment}", status=204)
    lasted = 0
    while await world.target(load.deployment) is not None:
        target = await world.target(load.deployment)
        assert target is not None
        assert (target.replicas, target.callable) == ((), False)
        world.clock.advance(seconds=1)
        lasted += 1
        await load.say(in_flight=1, replicas=busy)
        await world.settle(load.deployment)

    assert 7 <= lasted <= 11


async def test_there_are_no_more_than_the_quota_has_room_for(load: Load) -> None:
    world = load.world
    await world.api.create("/quotas", team="care", environment="sandbox", replicas=4)
    other = world.manifest(scaling={"minReplicas": 2})
    other["metadata"]["name"] = "other"
    await world.deploy(other)

    (decision,) = await load.run(2, in_flight=8)

    assert (decision.after, decision.limited) == (2, "quota of care: replicas")
    again = await load.run(5, in_flight=8)
    shown = (await world.api.get("/deployments/triage/scaling/decisions"))["items"]
    assert again == []
    assert [(one["before"], one["after"], one["limited_by"]) for one in shown] == [
        (1, 2, "quota of care: replicas")
    ]


async def test_scaling_and_its_decisions_are_shown_with_their_numbers(load: Load) -> None:
    await load.run(3, in_flight=6, tokens=40)

    shown = await load.world.api.get("/deployments/triage/scaling")
    (decision,) = (await load.world.api.get("/deployments/triage/scaling/decisions"))["items"]

    assert shown["load"] == {"in_flight": 6, "queued": 0, "tokens": 40}
    assert (shown["metric"], shown["target"], shown["replicas_wanted"]) == ("concurrency", 2, 3)
    assert (decision["before"], decision["after"], decision["reason"]) == (1, 3, "Panic")
    assert (decision["value"], decision["min_replicas"], decision["max_replicas"]) == (6, 1, 4)


async def test_a_broken_deployment_does_not_keep_others_from_their_replicas(world: World) -> None:
    broken = await world.deploy(scaling={**ELASTIC, "schedule": [MORNING]})
    other = world.manifest(scaling=ELASTIC)
    other["metadata"]["name"] = "other"
    load = Load(world, (await world.deploy(other))["id"])
    async with world.db.write() as tx:
        await tx.execute(update(deployments).values(serving=1))
        query = select(revisions.c.scaling).where(revisions.c.deployment_id == broken["id"])
        stored = (await tx.execute(query)).scalar_one()
        stored["schedule"][0]["timezone"] = "Nowhere/Known"
        its = update(revisions).where(revisions.c.deployment_id == broken["id"])
        await tx.execute(its.values(scaling=stored))

    await load.run(3, in_flight=6)

    assert (await world.api.get("/deployments/other"))["replicas_wanted"] == 3


async def test_a_fixed_number_is_never_changed(world: World) -> None:
    made = await world.deploy(scaling={"minReplicas": 2})
    await world.until(made["id"], _ready)
    load = Load(world, made["id"])
    report = TargetReport("gw_1", to_ms(world.clock.now()), 90, 0, False, {})

    async with world.db.read() as tx:
        assert not await scaling.concerns(tx, [(made["id"], report)])
    assert await load.look() == []


async def test_a_model_is_awake_when_it_is_usually_asked(world: World) -> None:
    sleepy = {"minReplicas": 0, "maxReplicas": 1, "idleTimeout": "5m", "prewarm": True}
    made = await world.deploy(scaling=sleepy)
    await world.until(made["id"], _ready)
    load = Load(world, made["id"])
    await load.pass_by(310)
    for _ in range(3):
        await load.say(waiting_for_wake=True, queued=1)
        assert _changes(await load.look()) == [(0, 1, "Woken")]
        assert _changes(await load.pass_by(310)) == [(1, 0, "Idle")]
        world.clock.advance(seconds=86_400 - 310)

    world.clock.advance(seconds=-20 * 60)
    await load.pass_by(60)
    early = await load.look()
    world.clock.advance(seconds=15 * 60)
    before = _changes(await load.look())
    kept = _changes(await load.pass_by(600))
    unused = _changes(await load.pass_by(320))

    assert early == []
    assert before == [(0, 1, "Habit")]
    assert kept == []
    assert unused == [(1, 0, "Idle")]


class Killed(BaseException):
    """The control plane died here."""


@pytest.mark.parametrize("time", ["before", "after", "committed"])
async def test_a_death_around_a_decision_leaves_it_whole_or_not_made(
    world: World, monkeypatch: pytest.MonkeyPatch, time: str
) -> None:
    load = await asleep(world)
    decide, write = scaling.scale, Database.write
    decided: list[str] = []

    async def dying(*arguments: Any, **named: Any) -> None:
        if time == "before":
            raise Killed
        await decide(*arguments, **named)
        decided.append("scale")
        if time == "after":
            raise Killed

    @asynccontextmanager
    async def written(db: Database) -> AsyncIterator[Tx]:
        async with write(db) as tx:
            yield tx
        if decided:
            raise Killed

    await load.say(waiting_for_wake=True, queued=1)
    # Patched, since a death is between two lines and no protocol has a place for it.
    with monkeypatch.context() as patched, pytest.raises(Killed):
        patched.setattr(scaling, "scale", dying)
        patched.setattr(Database, "write", written)
        await load.look()
    await world.restart()
    again = Load(world, load.deployment)
    await again.say(waiting_for_wake=True, queued=1)
    await again.look()
    await world.until(load.deployment, _replicas(1))

    made = (await world.api.get("/deployments/triage/scaling/decisions"))["items"]
    assert [one["reason"] for one in made] == ["Woken", "Idle"]
