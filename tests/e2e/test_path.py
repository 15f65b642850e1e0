"""The path of a deployment with a real model: proved before traffic, taken back, killed, removed."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx2
import psutil
import pytest
import yaml
from towpath_up import ADMIN_KEY, ARTIFACTS, Up, eventually

MODEL = ARTIFACTS / "sentiment-classifier"
GATE = {"suite": "sentiment-golden@1", "metric": "accuracy", "minimum": 0.75}


def asking(label: str = "positive") -> dict[str, Any]:
    """Return a smoke test that expects a label."""
    return {
        "name": "likes it",
        "request": {"inputs": ["I love this, it is wonderful"]},
        "expect": {
            "jsonPath": {"$.outputs[0].label": label, "$.outputs[0].score": {"minimum": 0.5}},
            "maxLatency": "20s",
        },
    }


class Journey:
    """One platform, and a folder with a model and its manifest."""

    def __init__(self, up: Up, folder: Path) -> None:
        self.up = up
        self.folder = folder
        shutil.copytree(MODEL / "model", folder / "model")
        shutil.copy(MODEL / "signature.json", folder)
        with up.api() as api:
            for path, body in (
                ("/teams", {"name": "care"}),
                ("/projects", {"team": "care", "name": "mood"}),
            ):
                assert api.post(path, json=body).status_code == 201
            key = {"project": "care/mood", "environment": "sandbox", "name": "caller"}
            self.key = api.post("/keys", json=key).json()["key"]

    def write(self, name: str = "mood", **spec: Any) -> None:
        """Write the manifest."""
        document = {
            "apiVersion": "towpath.dev/v1alpha1",
            "kind": "ModelDeployment",
            "metadata": {"name": name, "project": "care/mood"},
            "spec": {
                "model": {"uri": "file:./model", "format": "onnx"},
                "runtime": {"name": "onnx"},
                "resources": {"requests": {"memory": "256Mi"}},
                **spec,
            },
        }
        (self.folder / "towpath.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run the CLI as the platform's administrator."""
        home = {k: v for k, v in os.environ.items() if not k.startswith("TOWPATH_")}  # noqa: TID251
        return subprocess.run(
            [Path(sys.prefix) / "bin" / "towpath", *arguments],
            cwd=self.folder,
            env={**home, "TOWPATH_ADDRESS": self.up.address, "TOWPATH_API_KEY": ADMIN_KEY},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def get(self, name: str = "mood") -> Any:
        """Return the deployment, once the API can tell."""
        found: list[Any] = []

        def tells() -> bool:
            with self.up.api() as api:
                try:
                    answer = api.get(f"/deployments/{name}")
                except httpx2.HTTPError:
                    return False
            if answer.status_code == 200:
                found.append(answer.json())
            return answer.status_code == 200

        eventually(tells, f"answer about {name}", within_s=60)
        return found[-1]

    def until(self, holds: Any, what: str, name: str = "mood") -> Any:
        """Wait until the deployment is as it should be."""
        eventually(lambda: holds(self.get(name)), what, within_s=120)
        return self.get(name)

    def label(self) -> str:
        """Ask the endpoint as a program does."""
        answer = httpx2.post(
            f"{self.up.address}/v1/models/mood/predict",
            json={"inputs": ["I hate this, it is awful"]},
            headers={"authorization": f"Bearer {self.key}"},
            timeout=30,
        )
        assert answer.status_code == 200, answer.text
        return str(answer.json()["outputs"][0]["label"])

    def models(self) -> list[psutil.Process]:
        """List the model servers' processes."""
        found = []
        for process in self.up.own_processes():
            try:
                if "TOWPATH_REPLICA" in process.environ():
                    found.append(process)
            except psutil.Error:
                continue
        return found


@pytest.fixture
def journey(up: Up, tmp_path: Path) -> Journey:
    folder = tmp_path / "model-folder"
    folder.mkdir()
    return Journey(up, folder)


def is_ready(one: Any) -> bool:
    return one["phase"] == "Ready" and one["serving_revision"] == one["revision"]


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
    assert (last["revision"], last["replicas"][0]["id"]) == (3, first["replicas"][0]["id"])
    assert [one["revision"] for one in history] == [3, 2, 1]
    assert history[0]["note"] == "Back to revision 1."
    assert "spec.smokeTests[0].expect.jsonPath.$.outputs[0].label: positive → negative" in diff
    reasons = [(one["type"], one["reason"]) for one in events]
    assert ("SmokeTested", "Failed") in reasons
    assert ("Evaluated", "Missing") in reasons
    assert journey.cli("deployments", "delete", "mood").returncode == 0
    _nothing_is_left(journey)


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
    _nothing_is_left(journey)


def _nothing_is_left(journey: Journey) -> None:
    def gone() -> bool:
        with journey.up.api() as api:
            try:
                return api.get("/deployments").json()["items"] == []
            except (httpx2.HTTPError, ValueError, KeyError):
                return False

    eventually(gone, "end of the deployment", within_s=60)
    with journey.up.api() as api:
        assert api.get("/endpoints").json()["items"] == []
    eventually(lambda: journey.models() == [], "end of the model servers")
    left = [one for one in (journey.up.data / "replicas").glob("*") if one.is_dir()]
    assert left == []
