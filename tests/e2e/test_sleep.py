"""A model that sleeps when nobody asks: no call is lost, and waking it costs little but its load."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest
from command_line import towpath
from towpath_up import ROOT, Up, eventually

CHURN = ROOT / ".build" / "artifacts-test" / "churn"
SLEEPS = """
apiVersion: towpath.dev/v1alpha1
kind: ModelDeployment
metadata: {name: churn-sleeps, project: demo/quickstart}
spec:
  model: {uri: "file:./model.onnx", format: onnx}
  runtime: {name: onnx}
  access: {visibility: organization}
  scaling:
    minReplicas: 0
    maxReplicas: 1
    idleTimeout: 1s
    coldStart: {maxWait: 60s, maxQueued: 50}
"""
ONE = {"inputs": [{"age": 19, "balance": 120.5, "plan": "basic"}]}
WITHIN_S = 60


@pytest.fixture(scope="module")
def sleeper(demo: Up, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Deploy the model, once; return its endpoint's name."""
    folder = tmp_path_factory.mktemp("sleeper")
    shutil.copy(CHURN / "model" / "model.onnx", folder)
    shutil.copy(CHURN / "signature.json", folder)
    (folder / "towpath.yaml").write_text(SLEEPS, encoding="utf-8")
    done = towpath(demo, folder, "deploy")
    assert done.returncode == 0, done.stdout + done.stderr
    return "churn-sleeps"


def until(demo: Up, name: str, phase: str) -> Any:
    """Wait for a phase; return the deployment."""
    with demo.api() as api:

        def found() -> Any:
            return api.get(f"/deployments/{name}").json()

        eventually(lambda: found()["phase"] == phase, phase, within_s=WITHIN_S)
        return found()


def call(demo: Up, name: str) -> httpx2.Response:
    """Ask it once."""
    with demo.api(demo.demo_key) as api:
        return api.post(f"{demo.address}/v1/models/{name}/predict", json=ONE, timeout=WITHIN_S)


def test_calls_that_come_together_wake_it_and_all_are_answered(demo: Up, sleeper: str) -> None:
    idle = until(demo, sleeper, "Idle")
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: call(demo, sleeper), range(20)))

    assert all(replica["retiring"] for replica in idle["replicas"])
    assert [answer.status_code for answer in answers] == [200] * 20
    assert any("x-towpath-cold-start-ms" in answer.headers for answer in answers)


def test_what_waking_took_is_told_apart(demo: Up, sleeper: str, tmp_path: Path) -> None:
    until(demo, sleeper, "Idle")
    assert call(demo, sleeper).status_code == 200
    until(demo, sleeper, "Idle")
    with demo.api() as api:
        state = api.get(f"/deployments/{sleeper}/scaling").json()
        decisions = api.get(f"/deployments/{sleeper}/scaling/decisions").json()["items"]
    shown = towpath(demo, tmp_path, "deployments", "scaling", sleeper)

    started = state["cold_starts"]
    assert started["last"]
    assert started["total_ms"]["p50"] >= started["engine_ms"]["p50"] > 0
    assert {"Woken", "Idle"} <= {one["reason"] for one in decisions}
    assert shown.returncode == 0, shown.stderr
    assert "wakes within" in shown.stdout
    assert "0 → 1" in shown.stdout
