"""
Time from `deploy` to Ready, apart from what the engine itself needs to load.

`python bench/deploying.py [--rounds 5]` starts a platform in a temporary folder, deploys the
sentiment classifier under a new name each round, and reads the log of its conditions: what passes
between `Provisioned` and `Loaded` is the engine's, the rest is the platform's.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "support"))
import registering
import towpath_up
from kept import keep

MODEL = towpath_up.ARTIFACTS / "sentiment-classifier"
TEST = {"name": "answers", "request": {"inputs": ["I love this"]}}


def main() -> None:
    """Measure, print and keep it."""
    reader = argparse.ArgumentParser(description=__doc__)
    reader.add_argument("--rounds", type=int, default=5)
    rounds = reader.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder, towpath_up.running(Path(folder)) as up:
        found = [one(up, number) for number in range(rounds)]
    report = {
        name: round(statistics.median(row[name] for row in found), 3) for name in found[0]
    } | {"rounds": rounds}
    print(json.dumps(report, indent=1))
    keep("deploying", report)


def one(up: towpath_up.Up, number: int) -> dict[str, float]:
    """Deploy once; return seconds."""
    with up.api() as api:
        if number == 0:
            upload(api)
        name = f"mood-{number}"
        began = time.monotonic()
        made = api.post("/deployments?environment=sandbox", json=manifest(name)).json()
        while api.get(f"/deployments/{made['id']}").json()["phase"] != "Ready":
            time.sleep(0.01)
        whole = time.monotonic() - began
        events = api.get(f"/deployments/{made['id']}/events").json()["items"]
        api.delete(f"/deployments/{made['id']}")
    at = {(event["type"], event["status"]): _seconds(event["at"]) for event in events}
    loading = at["Loaded", "True"] - at["Provisioned", "True"]
    return {
        "deploy_to_ready_s": whole,
        "engine_s": loading,
        "platform_s": whole - loading,
        "smoke_tests_s": at["SmokeTested", "True"] - at["Loaded", "True"],
    }


def upload(api: Any) -> None:
    """Register the sentiment classifier as version 1 of `mood`."""
    signature = json.loads((MODEL / "signature.json").read_text(encoding="utf-8"))
    registering.register(api, "mood", MODEL / "model", project="care/mood", signature=signature)


def manifest(name: str, **spec: Any) -> dict[str, Any]:
    """Write a manifest that serves it."""
    return {
        "apiVersion": "towpath.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": name, "project": "care/mood"},
        "spec": {
            "model": {"uri": "models:/mood/1"},
            "runtime": {"name": "onnx"},
            "smokeTests": [TEST],
            **spec,
        },
    }


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


if __name__ == "__main__":
    main()
