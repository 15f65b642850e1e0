"""From the sandbox to production with a real model: gates, an approval, a worse version refused."""

import json
from pathlib import Path
from typing import Any

import pytest
from journey import GATE, Journey, is_ready, nothing_is_left
from towpath_up import Up

DOC_STRING = b"\x32\x05worse"  # field 6 of ONNX's ModelProto: other content, the same model


@pytest.fixture
def journey(up: Up, tmp_path: Path) -> Journey:
    folder = tmp_path / "model-folder"
    folder.mkdir()
    return Journey(up, folder)


def blocked(one: Any) -> bool:
    return {c["type"]: c["status"] for c in one["conditions"]}["Evaluated"] == "False"


def recorded(journey: Journey, version: int, accuracy: str) -> None:
    done = journey.cli(
        "evaluations", "record", f"mood/{version}", "--suite", "sentiment-golden@1",
        "--metric", f"accuracy={accuracy}", "--n", "3757", "--source", "training.json",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def asked_and_approved(journey: Journey, developer: str, admin: str) -> None:
    """Let one person ask for production, and another one agree."""
    asked = journey.cli(
        "promote", "mood", "--to", "production", "--request", "--reason", "golden", key=developer
    )
    assert asked.returncode == 0, asked.stderr
    (request,) = json.loads(journey.cli("approvals", "--json", key=developer).stdout)["items"]
    own = journey.cli("approvals", "approve", request["id"], key=developer)
    agreed = journey.cli("approvals", "approve", request["id"], key=admin)

    assert own.returncode == 1, own.stdout
    assert agreed.returncode == 0, agreed.stderr


def test_a_version_is_promoted_with_gate_and_approval_and_a_worse_one_is_refused(
    journey: Journey,
) -> None:
    developer, admin = journey.person("dev", "developer"), journey.person("lead", "admin")
    gated = {"production": {"gates": {"evaluations": [GATE]}}}
    journey.write(overrides=gated)
    assert journey.cli("deploy", key=developer).returncode == 0
    assert journey.cli("promote", "mood", "--to", "staging", key=developer).returncode == 0
    alone = journey.cli("promote", "mood", "--to", "production", key=developer)

    assert alone.returncode == 1
    assert "--request" in alone.stderr
    asked_and_approved(journey, developer, admin)
    journey.until(blocked, "gate that waits for a result", environment="production")
    recorded(journey, 1, "0.8044")
    first = journey.until(is_ready, "first version in production", environment="production")
    everywhere = [journey.get(environment=one) for one in ("sandbox", "staging", "production")]
    assert {one["model"]["digest"] for one in everywhere} == {first["model"]["digest"]}

    model = journey.folder / "model" / "model.onnx"
    model.write_bytes(model.read_bytes() + DOC_STRING)
    recorded_first = first["model"]["digest"]
    assert journey.cli("deploy", key=developer).returncode == 0
    assert journey.cli("promote", "mood", "--to", "staging", key=developer).returncode == 0
    recorded(journey, 2, "0.7021")
    asked_and_approved(journey, developer, admin)
    worse = journey.until(blocked, "gate that refuses", environment="production")
    gate = next(one for one in worse["conditions"] if one["type"] == "Evaluated")

    assert worse["model"]["digest"] != recorded_first
    assert "0.7021" in gate["message"]
    assert "0.75" in gate["message"]
    assert worse["serving_revision"] == first["revision"]
    back = journey.cli("deployments", "rollback", "mood", "--environment", "production", key=admin)
    assert back.returncode == 0, back.stderr
    last = journey.until(is_ready, "revision that is back", environment="production")
    assert last["model"]["digest"] == recorded_first

    served = journey.cli("models", "served", "mood", "--environment", "production", "--json")
    stretches = json.loads(served.stdout)["items"]
    assert {one["version"] for one in stretches} == {1}
    for environment in ("production", "staging", "sandbox"):
        gone = journey.cli("deployments", "delete", "mood", "--environment", environment, key=admin)
        assert gone.returncode == 0, gone.stderr
    nothing_is_left(journey)
