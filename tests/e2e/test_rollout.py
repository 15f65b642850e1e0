"""Newer revisions of a real model under constant calls: the bad ones give way, the good one stays."""

import json
import re
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from command_line import towpath
from towpath_up import ROOT, Up, eventually

NAME = "label-rolls"
GUIDE = ROOT / "docs" / "guides" / "rollouts.md"
MODEL = """
import time

import numpy as np


class Model:
    def predict(self, inputs):
        time.sleep({sleep})
        return {{"label": np.array([{label!r} for _ in inputs["x"]], dtype=object)}}
"""
SIGNATURE = {
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1]}],
    "outputs": [{"name": "label", "datatype": "BYTES", "shape": [-1]}],
}
CALLERS = 4
WITHIN_S = 60


def manifest(rollout: dict[str, Any] | None = None, **spec: Any) -> str:
    """Write a manifest of the model beside it; JSON is YAML."""
    return json.dumps(
        {
            "apiVersion": "towpath.dev/v1alpha1",
            "kind": "ModelDeployment",
            "metadata": {"name": NAME, "project": "demo/quickstart"},
            "spec": {
                "model": {"uri": "file:./model", "format": "python"},
                "runtime": {"name": "python"},
                "access": {"visibility": "organization"},
                "smokeTests": [],
                **({"rollout": rollout} if rollout else {}),
                **spec,
            },
        }
    )


def deploy(
    demo: Up, folder: Path, label: str, rollout: dict[str, Any] | None = None, **model: Any
) -> Any:
    """Deploy a version that answers with a label, as a person does; return how the command ended."""
    here = folder / f"{label}-{len(list(folder.iterdir()))}"
    (here / "model").mkdir(parents=True)
    text = MODEL.format(label=label, sleep=model.pop("sleep", 0))
    (here / "model" / "model.py").write_text(text, encoding="utf-8")
    (here / "model" / "signature.json").write_text(json.dumps(SIGNATURE), encoding="utf-8")
    (here / "towpath.yaml").write_text(manifest(rollout, **model), encoding="utf-8")
    return towpath(demo, here, "deploy")


@dataclass
class Calls:
    """What callers got."""

    statuses: Counter[int] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)


@contextmanager
def calling(demo: Up) -> Iterator[Calls]:
    """Call all the time, from several callers."""
    got, over = Calls(), threading.Event()

    def caller() -> None:
        with demo.api(demo.demo_key) as api:
            while not over.wait(0.02):
                url = f"{demo.address}/v1/models/{NAME}/predict"
                answer = api.post(url, json={"inputs": [1.0]}, timeout=WITHIN_S)
                got.statuses[answer.status_code] += 1
                if answer.status_code == 200:
                    got.labels[answer.json()["outputs"][0]["label"]] += 1

    callers = [threading.Thread(target=caller) for _ in range(CALLERS)]
    for one in callers:
        one.start()
    try:
        yield got
    finally:
        over.set()
        for one in callers:
            one.join()


def rollout(demo: Up) -> Any:
    with demo.api() as api:
        return api.get(f"/deployments/{NAME}/rollout").json()


@pytest.fixture(scope="module")
def folder(demo: Up, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Serve the first revision; it is taken away at the end."""
    made = tmp_path_factory.mktemp("rolls")
    done = deploy(demo, made, "good")
    assert done.returncode == 0, done.stdout + done.stderr
    yield made
    with demo.api() as api:
        api.delete(f"/deployments/{NAME}")
        eventually(
            lambda: api.get(f"/deployments/{NAME}").status_code == 404, "gone", within_s=WITHIN_S
        )


def test_a_good_revision_goes_through_all_steps_and_no_call_fails(demo: Up, folder: Path) -> None:
    steps = [{"weight": 20, "hold": "1s"}, {"weight": 60, "hold": "1s"}]
    with calling(demo) as got:
        done = deploy(demo, folder, "better", {"steps": steps})

    assert done.returncode == 0, done.stdout + done.stderr
    assert "step 1 of 2: 20 % of the calls" in done.stderr
    assert set(got.statuses) == {200}
    found = rollout(demo)
    assert found["state"] == "completed"
    assert all(stage["evidence"]["calls"] for stage in found["stages"][:2])
    with calling(demo) as after:
        eventually(lambda: after.statuses[200] > 20, "calls", within_s=WITHIN_S)
    assert set(after.labels) == {"better"}


def test_a_slower_revision_is_rolled_back_by_its_95th_percentile(demo: Up, folder: Path) -> None:
    slow = {"steps": [{"weight": 30, "hold": "60s"}], "rollbackOn": {"p95Latency": "> 200ms"}}
    before = rollout(demo)["serving_revision"]
    with calling(demo) as got:
        done = deploy(demo, folder, "slow", slow, sleep=0.4)

    assert done.returncode == 1
    assert "p95 of" in done.stderr
    assert set(got.statuses) == {200}
    found = rollout(demo)
    assert (found["state"], found["serving_revision"]) == ("rolled_back", before)
    assert found["stages"][0]["evidence"]["p95_ms"] > 200
    with calling(demo) as after:
        eventually(lambda: after.statuses[200] > 20, "calls", within_s=WITHIN_S)
    assert "slow" not in after.labels


def test_a_wrong_revision_is_rolled_back_before_any_caller_gets_its_answers(
    demo: Up, folder: Path
) -> None:
    shadow = {
        "shadow": {"percent": 100, "hold": "60s"},
        "rollbackOn": {"differences": "> 5%"},
    }
    with calling(demo) as got:
        done = deploy(demo, folder, "wrong", shadow)

    assert done.returncode == 1
    assert "answers differ from the serving ones" in done.stderr
    assert set(got.statuses) == {200}
    assert "wrong" not in got.labels
    found = rollout(demo)
    assert found["state"] == "rolled_back"
    assert "$.outputs[0].label" in found["stages"][0]["evidence"]["differences"]


def test_every_command_of_the_guide_works_in_its_order(demo: Up, folder: Path) -> None:
    former = rollout(demo)["deployment_revision"]
    ended: list[Any] = []
    steps = {"steps": [{"weight": 10, "hold": "60s"}]}
    follows = threading.Thread(target=lambda: ended.append(deploy(demo, folder, "held", steps)))
    follows.start()
    eventually(
        lambda: rollout(demo)["deployment_revision"] > former and rollout(demo)["percent"] == 10,
        "rolling",
        within_s=WITHIN_S,
    )
    lines = re.findall(r"^\$ towpath (.*)$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE)

    done = [
        towpath(demo, folder, *line.replace("sentiment-classifier", NAME).split()) for line in lines
    ]
    follows.join()

    assert len(lines) == 6
    assert [one.returncode for one in done] == [0] * 6, [one.stderr for one in done]
    assert rollout(demo)["state"] == "aborted"
    assert ended[0].returncode == 1
    assert "rolled revision" in ended[0].stderr


def test_a_revision_whose_gate_fails_is_rolled_back_before_any_call(demo: Up, folder: Path) -> None:
    gates = {"evaluations": [{"suite": "labels@1", "metric": "accuracy", "minimum": 0.9}]}
    ended: list[Any] = []
    waits = threading.Thread(
        target=lambda: ended.append(
            deploy(demo, folder, "poor", {"steps": [{"weight": 10, "hold": "60s"}]}, gates=gates)
        )
    )
    former = rollout(demo)["deployment_revision"]
    waits.start()
    eventually(lambda: rollout(demo)["deployment_revision"] > former, "declared", within_s=WITHIN_S)
    with demo.api() as api:
        model = api.get(f"/deployments/{NAME}").json()["model"]
    record = ("--suite", "labels@1", "--metric", "accuracy=0.41", "--n", "600")
    version = f"{model['name']}/{model['version']}"
    recorded = towpath(demo, folder, "evaluations", "record", version, *record)
    waits.join()

    assert recorded.returncode == 0, recorded.stdout + recorded.stderr
    assert ended[0].returncode == 1
    assert "A gate failed." in ended[0].stderr
    found = rollout(demo)
    assert (found["state"], found["reason"]) == ("rolled_back", "GateFailed")
    assert found["stages"][0]["evidence"] is None
