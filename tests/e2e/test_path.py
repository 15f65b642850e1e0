"""The path of a deployment with a real model: proved before traffic, taken back, killed, removed."""

import json
from pathlib import Path
from typing import Any

import pytest
from journey import GATE, Journey, asking, is_ready, nothing_is_left
from towpath_up import Up


@pytest.fixture
def journey(up: Up, tmp_path: Path) -> Journey:
    folder = tmp_path / "model-folder"
    folder.mkdir()
    return Journey(up, folder)


def test_a_real_model_proves_itself_is_taken_back_and_leaves_nothing(journey: Journey) -> None:
    journey.write(smokeTests=[asking()], gates={"evaluations": [GATE]})
    held = journey.cli("deploy")
    recorded = journey.cli(
        "evaluations", "record", "mood/1", "--suite", "sentiment-golden@1",
        "--metric", "accuracy=0.8044", "--n", "3757", "--source", "training.json",
    )  # fmt: skip
    first = journey.until(is_ready, "first revision")
    journey.write(smokeTests=[asking("negative")])
    refused = journey.cli("deploy")
    after = journey.label()
    back = journey.cli("deployments", "rollback", "mood")
    last = journey.until(is_ready, "revision that is back")
    history = json.loads(journey.cli("deployments", "history", "mood", "--json").stdout)["items"]
    diff = journey.cli("deployments", "diff", "mood", "1", "2").stdout
    events = json.loads(journey.cli("deployments", "events", "mood", "--json").stdout)["items"]

    assert held.returncode == 1, held.stdout + held.stderr
    assert "No result of sentiment-golden@1 is recorded" in held.stderr
    assert "towpath evaluations record mood/1" in held.stderr
    assert recorded.returncode == 0, recorded.stderr
    steps = {one["type"]: one for one in first["conditions"]}
    assert steps["SmokeTested"]["reason"] == steps["Evaluated"]["reason"] == "Passed"
    assert steps["SmokeTested"]["results"][0]["ms"] > 0
    assert "95 %" in steps["Evaluated"]["message"]
    assert refused.returncode == 1
    assert '`$.outputs[0].label` is "positive", and "negative" is expected' in refused.stderr
    assert after == "negative"  # the former revision went on answering
    assert back.returncode == 0, back.stderr
    stay = [one["id"] for one in last["replicas"] if not one["retiring"]]
    assert (last["revision"], stay) == (3, [first["replicas"][0]["id"]])
    assert [one["revision"] for one in history] == [3, 2, 1]
    assert history[0]["note"] == "Back to revision 1."
    assert "spec.smokeTests[0].expect.jsonPath.$.outputs[0].label: positive → negative" in diff
    reasons = [(one["type"], one["reason"]) for one in events]
    assert ("SmokeTested", "Failed") in reasons
    assert ("Evaluated", "Missing") in reasons
    assert journey.cli("deployments", "delete", "mood").returncode == 0
    nothing_is_left(journey)


def test_a_control_plane_killed_on_the_path_comes_to_the_same_end(journey: Journey) -> None:
    names = []
    for step in ("Checked", "Provisioned", "Loaded", "SmokeTested"):
        name = f"mood-{step.lower()}"
        names.append(name)
        journey.write(name, smokeTests=[asking()])
        assert journey.cli("deploy", "--no-wait").returncode == 0

        def has(one: Any, step: str = step) -> bool:
            known = {condition["type"]: condition["status"] for condition in one["conditions"]}
            return known[step] == "True"

        journey.until(has, step, name)
        former = journey.up.kill("control")
        journey.up.replaced("control", former)
        done = journey.until(is_ready, f"{name} that is ready", name)

        assert [(c["type"], c["status"]) for c in done["conditions"]] == [
            (kind, "True")
            for kind in (
                "Checked", "Fetched", "Provisioned", "Loaded", "SmokeTested", "Evaluated", "Exposed",
            )
        ]  # fmt: skip
        assert [one["state"] for one in done["replicas"] if not one["retiring"]] == ["ready"]
        assert journey.cli("deployments", "delete", name).returncode == 0
    nothing_is_left(journey)
