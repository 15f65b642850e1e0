"""
How long a sleeping model keeps its first caller waiting, the engine's part apart from the platform's.

`python bench/waking.py [--rounds 30]` starts a platform in a temporary folder, deploys the sentiment
classifier so that it sleeps after a second, and calls it each time it does. The engine's part is from
its process's start until it is healthy; the platform's is all the rest of the caller's wait: the
signal, the decision, the process's start, the table, and the call itself.
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
from deploying import manifest, upload
from kept import keep

SLEEPS = {"minReplicas": 0, "idleTimeout": "1s"}


def main() -> None:
    """Measure, print and keep it."""
    reader = argparse.ArgumentParser(description=__doc__)
    reader.add_argument("--rounds", type=int, default=30)
    rounds = reader.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder, towpath_up.running(Path(folder)) as up:
        found = measured(up, rounds)
    report = {
        name: {"p50": round(statistics.median(values)), "p95": round(quantile(values, 0.95))}
        for name in found[0]
        if (values := [row[name] for row in found])
    }
    print(json.dumps(report, indent=1))
    keep("waking", {"rounds": rounds, **report})


def measured(up: towpath_up.Up, rounds: int) -> list[dict[str, float]]:
    """Let it sleep and wake it, so many times; return milliseconds."""
    with up.api() as api:
        upload(api)
        deployed = manifest("mood", scaling=SLEEPS)
        registering.made(api, "POST", "/deployments?environment=sandbox", json=deployed)
        key = registering.key(api, "waking", project="care/mood")
    return [one(up, key) for _ in range(rounds)]


def one(up: towpath_up.Up, key: str) -> dict[str, float]:
    """Wake it once."""
    with up.api() as api, up.api(key) as caller:
        while phase(api) != "Idle":
            time.sleep(0.02)
        known = decided(api)
        began, began_ms = time.monotonic(), time.time() * 1000
        answer = caller.post(
            f"{up.address}/v1/models/mood/predict", json={"inputs": ["I love this"]}, timeout=60
        )
        whole_ms = (time.monotonic() - began) * 1000
        if answer.status_code != 200:
            raise SystemExit(answer.text)
        woken = [row for row in decided(api) if row not in known and row["reason"] == "Woken"]
        started = api.get("/deployments/mood/scaling").json()["cold_starts"]["last"][0]
    return {
        "whole_ms": whole_ms,
        "engine_ms": started["engine_ms"],
        "platform_ms": whole_ms - started["engine_ms"],
        "decision_ms": _ms(woken[-1]["at"]) - began_ms,
    }


def _ms(text: str) -> float:
    return datetime.fromisoformat(text).timestamp() * 1000


def phase(api: Any) -> str:
    """Return its phase; none before it is there."""
    return str(api.get("/deployments/mood").json().get("phase"))


def decided(api: Any) -> list[dict[str, Any]]:
    """Return the last decisions on its number of replicas."""
    found: list[dict[str, Any]] = api.get("/deployments/mood/scaling/decisions").json()["items"]
    return found


def quantile(values: list[float], share: float) -> float:
    """Return a quantile by nearest rank."""
    return sorted(values)[min(len(values) - 1, round(share * len(values)))]


if __name__ == "__main__":
    main()
