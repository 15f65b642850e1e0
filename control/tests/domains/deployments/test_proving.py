"""What a revision is asked before it takes traffic: smoke tests first, then gates."""

import json
from typing import Any

import pytest
from proving import LABELS, GatewayAway, answer, stream
from worlds import World, condition

from towpath_server.domains.deployments import service as deployments
from towpath_server.domains.deployments.models.proving import Expectation, SmokeTest
from towpath_server.domains.deployments.reconcile import trials

TEST = {
    "name": "answers",
    "request": {"inputs": ["I love this"]},
    "expect": {
        "jsonPath": {"$.outputs[0].label": {"in": ["pos", "neg"]}, "$.outputs[0].score": 0.9},
        "maxLatency": "2s",
    },
}
GATE = {"suite": "triage-golden@7", "metric": "accuracy", "minimum": 0.86}


def _ready(deployment: Any) -> bool:
    return deployment["phase"] == "Ready"


def _over(deployment: Any) -> bool:
    return deployment["phase"] in {"Ready", "Failed", "Degraded"}


async def _record(world: World, version: int, **metric: Any) -> Any:
    return await world.api.create(
        "/evaluations",
        model="triage",
        version=version,
        suite="triage-golden",
        suite_version="7",
        metrics={"accuracy": metric},
        source="run 7",
    )


@pytest.mark.parametrize("mode", ["once", "twice", "crash"])
async def test_tests_are_asked_of_each_new_replica_before_any_traffic(
    world: World, mode: str
) -> None:
    world.mode = mode
    seen = []

    async def look() -> None:
        target = await world.target(made["id"])
        seen.append(len(target.replicas) if target else 0)

    world.gateway.before = look
    made = await world.deploy(smokeTests=[TEST], scaling={"minReplicas": 2})
    done = await world.until(made["id"], _ready)

    tested = condition(done, "SmokeTested")
    assert (tested["status"], tested["reason"]) == ("True", "Passed")
    assert [(one["name"], one["outcome"]) for one in tested["results"]] == [("answers", "passed")]
    assert world.gateway.calls[0] == ("/v1/models/NAME/predict", TEST["request"])
    assert set(seen) == {0}
    assert world.gateway.called == {replica["id"] for replica in done["replicas"]}
    async with world.db.read() as tx:
        assert await deployments.routed_keys(tx) == []
        assert await deployments.routed_trial_endpoints(tx) == []


async def test_a_wrong_answer_keeps_the_former_revision_serving_and_says_the_values(
    world: World,
) -> None:
    made = await world.deploy(smokeTests=[TEST])
    await world.until(made["id"], _ready)
    await world.version("weights of the second version")
    world.gateway.usual = answer({"outputs": [{"label": "maybe", "score": 0.9}]})

    await world.deploy(model={"uri": "models:/triage/2"}, smokeTests=[TEST])
    done = await world.until(made["id"], lambda one: one["phase"] == "Degraded")

    tested = condition(done, "SmokeTested")
    target = await world.target(made["id"])
    assert (tested["status"], tested["reason"]) == ("False", "Failed")
    assert '`$.outputs[0].label` is "maybe"' in tested["message"]
    assert 'in ["pos", "neg"] is expected' in tested["message"]
    assert tested["fix"]
    assert (done["serving_revision"], done["revision"]) == (1, 2)
    assert target is not None
    assert target.model is not None
    assert (target.model["version"], len(target.replicas)) == (1, 1)


@pytest.mark.parametrize(
    ("expect", "found", "words"),
    [
        ({"status": 422}, answer(LABELS), "`status` is 200"),
        ({}, answer({"error": "bad"}, 500), "`status` is 500"),
        ({"jsonPath": {"$.outputs[0].score": {"minimum": 0.95}}}, answer(LABELS), "minimum 0.95"),
        ({"jsonPath": {"$.outputs[0].score": {"maximum": 0.5}}}, answer(LABELS), "maximum 0.5"),
        ({"jsonPath": {"$.outputs[0].label": {"matches": "^n"}}}, answer(LABELS), "matches"),
        ({"jsonPath": {"$.outputs[1].label": "pos"}}, answer(LABELS), "is nothing"),
        ({"jsonPath": {"$.usage": {"exists": True}}}, answer(LABELS), "a value is expected"),
        ({"jsonPath": {"$.outputs[0].label": True}}, answer(LABELS), "true is expected"),
        (
            {"schema": {"properties": {"outputs": {"minItems": 2}}}},
            answer(LABELS),
            "`$.outputs` is",
        ),
    ],
)
async def test_each_expectation_that_is_not_met_is_named_with_what_was_found(
    world: World, expect: Any, found: Any, words: str
) -> None:
    world.gateway.usual = found

    made = await world.deploy(smokeTests=[{**TEST, "expect": expect}])
    done = await world.until(made["id"], _over)

    tested = condition(done, "SmokeTested")
    assert (done["phase"], tested["reason"]) == ("Failed", "Failed")
    assert words in tested["message"]


async def test_without_a_gateway_the_tests_wait_and_the_condition_says_so(world: World) -> None:
    world.gateway.cues = [GatewayAway()] * 100
    made = await world.deploy(smokeTests=[TEST])
    await world.until(made["id"], lambda one: condition(one, "Loaded")["status"] == "True")

    waiting = condition(await world.get(), "SmokeTested")
    world.gateway.cues = [answer({"error": {"code": "no_replica"}}, 503)]
    await world.settle(made["id"])
    done = await world.until(made["id"], _ready)

    assert (waiting["status"], waiting["reason"]) == ("Unknown", "Waiting")
    assert condition(done, "SmokeTested")["status"] == "True"


async def test_the_example_of_the_card_is_asked_where_the_manifest_has_no_test(
    world: World,
) -> None:
    request = {"inputs": ["card declined twice"]}
    card = f"# Triage\n\n## Example\n\n```json\n{json.dumps(request)}\n```\n\n## Limits\n"
    await world.version("weights with a card", card=card)

    made = await world.deploy(model={"uri": "models:/triage/2"})
    done = await world.until(made["id"], _ready)
    await world.deploy(model={"uri": "models:/triage/2"}, smokeTests=[])
    without = await world.until(made["id"], _ready)

    tested = condition(done, "SmokeTested")
    assert [one["name"] for one in tested["results"]] == ["the card's example"]
    assert world.gateway.calls == [("/v1/models/NAME/predict", request)]
    assert condition(without, "SmokeTested")["reason"] == "NotAskedFor"


async def test_a_change_of_access_asks_and_loads_nothing_again(world: World) -> None:
    made = await world.deploy(smokeTests=[TEST])
    first = await world.until(made["id"], _ready)

    await world.deploy(smokeTests=[TEST], access={"visibility": "team"})
    second = await world.until(made["id"], _ready)

    assert [one["id"] for one in second["replicas"]] == [one["id"] for one in first["replicas"]]
    assert condition(second, "SmokeTested")["reason"] == "Reused"
    assert len(world.gateway.calls) == 1


async def test_a_newer_revision_withdraws_the_tests_of_the_one_before(world: World) -> None:
    world.gateway.cues = [GatewayAway()]
    made = await world.deploy(smokeTests=[TEST])
    await world.until(made["id"], lambda one: condition(one, "Loaded")["status"] == "True")

    await world.deploy()
    done = await world.until(made["id"], _ready)

    async with world.db.read() as tx:
        assert await deployments.open_trials(tx) == []
    assert done["serving_revision"] == 2


@pytest.mark.parametrize(
    ("test", "at", "reason"),
    [
        ({"request": {"inputs": [1], "model": "x"}}, "/request", "ReadOnly"),
        ({"expect": {"jsonPath": {"outputs[": 1}}}, "/expect/jsonPath", "InvalidJsonPath"),
        (
            {"expect": {"jsonPath": {"$.a": {"minimun": 1, "in": []}}}},
            "/expect/jsonPath",
            "InvalidRule",
        ),
        ({"expect": {"jsonPath": {"$.a": {"matches": "("}}}}, "/expect/jsonPath", "InvalidRule"),
        ({"expect": {"schema": {"type": "strin"}}}, "/expect/schema", "InvalidSchema"),
        ({"expect": {"maxLatency": "soon"}}, "/expect/maxLatency", "InvalidDuration"),
        ({"operation": "chat"}, "/operation", "OperationNotServed"),
        ({"stream": True}, "/stream", "NoStream"),
        ({"expect": {"firstChunkWithin": "1s"}}, "/expect/firstChunkWithin", "NoStream"),
        ({"expectt": {}}, "/expectt", "UnknownField"),
    ],
)
async def test_a_test_that_cannot_be_asked_is_a_finding_with_a_fix(
    world: World, test: Any, at: str, reason: str
) -> None:
    manifest = world.manifest(smokeTests=[{**TEST, **test}])

    refused = await world.api.call("POST", "/deployments?environment=sandbox", manifest, status=422)

    (finding,) = refused.json()["findings"]
    assert (finding["path"], finding["reason"]) == (f"#/spec/smokeTests/0{at}", reason)
    assert finding["fix"]


def test_streams_are_judged_by_their_events() -> None:
    test = SmokeTest("streams", {"messages": []}, "chat", stream=True, expect=Expectation())
    replica: Any = None

    whole = trials.read(test, replica, 5, stream({"choices": [{"delta": {"content": "a"}}]}))
    cut = trials.read(test, replica, 5, stream({"choices": []}, done=False))
    broken = trials.read(test, replica, 5, stream({"error": {"code": "gateway_lost"}}))

    assert whole.document == [{"choices": [{"delta": {"content": "a"}}]}]
    assert [one.where for one in (*cut.wrong, *broken.wrong)] == ["answer", "answer"]


def test_a_stream_that_begins_too_late_fails_however_fast_it_ends() -> None:
    test = SmokeTest(
        "s", {"messages": []}, "chat", stream=True, expect=Expectation(first_chunk_ms=1)
    )
    replica: Any = None

    late = trials.read(test, replica, 5, stream({"choices": []}))

    assert [(one.where, one.expected, one.found) for one in late.wrong] == [
        ("firstChunkWithin", "at most 1 ms", "2 ms")
    ]


async def test_a_missing_result_holds_the_revision_back_until_it_arrives(world: World) -> None:
    made = await world.deploy(gates={"evaluations": [GATE]})
    held = await world.until(made["id"], _over)

    evaluated = condition(held, "Evaluated")
    assert (held["phase"], held["serving_revision"]) == ("Failed", None)
    assert (evaluated["status"], evaluated["reason"]) == ("False", "Missing")
    assert "No result of triage-golden@7" in evaluated["message"]
    assert "towpath evaluations record triage/1" in evaluated["fix"]

    await _record(world, 1, value=0.9, low=0.88, high=0.92, n=600)
    done = await world.until(made["id"], _ready)

    evaluated = condition(done, "Evaluated")
    assert (evaluated["status"], evaluated["reason"]) == ("True", "Passed")
    assert "0.9 (95 %: 0.88 to 0.92, 600 items)" in evaluated["message"]


@pytest.mark.parametrize(
    ("metric", "reason", "words"),
    [
        ({"value": 0.83, "low": 0.80, "high": 0.85, "n": 600}, "Failed", "does not reach"),
        ({"value": 0.85, "low": 0.82, "high": 0.88, "n": 600}, "Inconclusive", "inconclusive"),
        ({"value": 0.87, "n": 20}, "Inconclusive", "95 %: 0.6"),
    ],
)
async def test_a_gate_says_the_numbers_and_what_would_decide_it(
    world: World, metric: Any, reason: str, words: str
) -> None:
    await _record(world, 1, **metric)
    made = await world.deploy(gates={"evaluations": [GATE]})

    done = await world.until(made["id"], _over)

    evaluated = condition(done, "Evaluated")
    assert (evaluated["status"], evaluated["reason"]) == ("False", reason)
    assert words in evaluated["message"]
    assert reason == "Failed" or "more items would decide it" in evaluated["fix"]


async def test_a_result_of_another_content_does_not_count(world: World) -> None:
    await world.version("weights of the second version")
    await _record(world, 1, value=0.99, n=10_000)
    made = await world.deploy(model={"uri": "models:/triage/2"}, gates={"evaluations": [GATE]})

    done = await world.until(made["id"], _over)

    assert condition(done, "Evaluated")["reason"] == "Missing"


@pytest.mark.parametrize(
    ("metric", "reason", "words"),
    [
        ({"value": 0.895, "low": 0.885, "high": 0.905, "n": 5_000}, "Passed", "in staging"),
        (
            {"value": 0.80, "low": 0.79, "high": 0.81, "n": 5_000},
            "Failed",
            "worse by 0.1, and 0.02",
        ),
        ({"value": 0.87, "low": 0.85, "high": 0.89, "n": 900}, "Inconclusive", "0.03 ± 0.022"),
    ],
)
async def test_a_gate_compares_with_what_serves_in_another_environment(
    world: World, metric: Any, reason: str, words: str
) -> None:
    world.shown = lambda id_: world.api.get(f"/deployments/{id_}")
    await _record(world, 1, value=0.90, low=0.89, high=0.91, n=5_000)
    staged = await world.api.call(
        "POST", "/deployments?environment=staging", world.manifest(), status=201
    )
    await world.until(staged.json()["id"], _ready)
    await world.version("weights of the second version")
    await _record(world, 2, **metric)
    gate = {"suite": "triage-golden@7", "metric": "accuracy"}
    against = {"baseline": "staging", "maxRegression": 0.02}

    made = await world.deploy(
        model={"uri": "models:/triage/2"}, gates={"evaluations": [{**gate, **against}]}
    )
    done = await world.until(made["id"], _over)

    evaluated = condition(done, "Evaluated")
    assert (evaluated["reason"], words in evaluated["message"]) == (reason, True)


async def test_a_refused_gate_is_refused_as_a_mistake_of_the_manifest(world: World) -> None:
    gates = [
        {"suite": "golden"},
        {"suite": "golden@1", "minimum": 1},
        {"suite": "g-1@1", "metric": "f"},
    ]
    manifest = world.manifest(gates={"evaluations": gates})

    refused = await world.api.call("POST", "/deployments?environment=sandbox", manifest, status=422)

    found = refused.json()["findings"]
    assert len(found) == 3
    assert all(one["fix"] for one in found)


async def test_going_back_serves_the_former_content_without_asking_again(world: World) -> None:
    made = await world.deploy(smokeTests=[TEST])
    first = await world.until(made["id"], _ready)
    await world.api.call("POST", f"/deployments/{made['id']}/rollback", {}, status=409)
    await world.version("weights of the second version")
    world.gateway.usual = answer({"outputs": []})
    await world.deploy(model={"uri": "models:/triage/2"}, smokeTests=[TEST])
    await world.until(made["id"], lambda one: one["phase"] == "Degraded")
    asked = len(world.gateway.calls)

    answered = await world.api.call("POST", f"/deployments/{made['id']}/rollback", {}, status=200)
    done = await world.until(made["id"], _ready)

    history = (await world.api.get("/deployments/triage/revisions"))["items"]
    assert answered.json()["serving_revision"] == 3  # what serves was never unloaded
    assert (done["revision"], done["model"]["version"]) == (3, 1)
    assert [one["id"] for one in done["replicas"] if not one["retiring"]] == [
        first["replicas"][0]["id"]
    ]
    assert len(world.gateway.calls) == asked
    assert [(one["revision"], one["model"]["version"]) for one in history] == [
        (3, 1),
        (2, 2),
        (1, 1),
    ]
    assert history[0]["note"] == "Back to revision 1."
    assert (history[0]["proved_by"], history[1]["exposed_at"]) == (1, None)
    assert (await world.api.get("/deployments/triage/revisions/2"))["model"]["version"] == 2


async def test_the_log_has_every_change_of_a_condition_in_order(world: World) -> None:
    made = await world.deploy(smokeTests=[TEST])
    await world.until(made["id"], _ready)

    events = (await world.api.get(f"/deployments/{made['id']}/events"))["items"]

    true = [one["type"] for one in events if one["status"] == "True"]
    phases = [one["status"] for one in events if one["type"] == "Phase"]
    assert [kind for kind in true if kind not in {"Checked", "Evaluated"}] == [
        "Fetched",
        "Provisioned",
        "Loaded",
        "SmokeTested",
        "Exposed",
    ]
    assert (phases[0], phases[-1]) == ("Pending", "Ready")
