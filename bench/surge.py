"""
A load that rises tenfold in two seconds and falls again: replicas, waiting calls and latency over time.

`python bench/surge.py` lets callers ask the ONNX server on the embedding model, first behind Towpath,
then behind Ray Serve with its defaults and with its delays as short as it takes them. Callers do not
wait for each other: a call begins when its time has come. What comes of it goes to
`bench/results/surge-DAY.json` and, as a picture, beside it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx2
from gateways import ROOT
from kept import RESULTS, machine
from peers import install, program
from rig import free_port

sys.path.insert(0, str(ROOT / "tests" / "support"))

import registering
import towpath_up

MODEL = towpath_up.ARTIFACTS / "minilm"
TEXT = "my card was declined twice and the app says nothing about it"
BODY = {"inputs": [{"name": "text", "datatype": "BYTES", "shape": [1], "data": [TEXT]}]}
MOST = 3
TARGET = 2
"""Calls that one replica is to have at a time."""
RISE_S = 2.0
TIMEOUT_S = 60.0
SCALING = {
    "minReplicas": 1,
    "maxReplicas": MOST,
    "metric": "concurrency",
    "target": TARGET,
}
RAY = {
    # https://docs.ray.io/en/latest/serve/advanced-guides/advanced-autoscaling.html
    "Ray Serve, defaults": {"target_ongoing_requests": TARGET},
    "Ray Serve, shortest delays": {
        "target_ongoing_requests": TARGET,
        "upscale_delay_s": 0.1,
        "downscale_delay_s": 60,
        "metrics_interval_s": 0.1,
        "look_back_period_s": 1.0,
    },
}


@dataclass(frozen=True)
class Shape:
    """Calls a second over time: quiet, up within `RISE_S`, held, down, quiet."""

    quiet_per_s: float
    quiet_s: float
    held_s: float
    after_s: float

    def rate(self, at: float) -> float:
        """Return the calls a second at a time."""
        up = (at - self.quiet_s) / RISE_S
        down = (at - self.quiet_s - RISE_S - self.held_s) / RISE_S
        height = min(1.0, max(0.0, up)) - min(1.0, max(0.0, down))
        return self.quiet_per_s * (1 + 9 * height)

    @property
    def length(self) -> float:
        """How long it is, in seconds."""
        return self.quiet_s + 2 * RISE_S + self.held_s + self.after_s

    def times(self) -> list[float]:
        """Return when the calls begin."""
        found, at, owed = [], 0.0, 0.0
        while at < self.length:
            owed += self.rate(at) * 0.001
            if owed >= 1:
                owed -= 1
                found.append(at)
            at += 0.001
        return found


@dataclass
class Run:
    """What one system did with the load; times in seconds since its beginning."""

    system: str
    calls: list[tuple[float, float, bool]] = field(default_factory=list)
    """Begin, duration, answered."""
    replicas: list[tuple[float, int]] = field(default_factory=list)
    """That take calls, as the system says."""
    decided: list[tuple[float, int]] = field(default_factory=list)
    """When it decided on how many, where it tells."""

    def outstanding(self, step: float = 0.1) -> list[tuple[float, int]]:
        """Return how many calls were under way."""
        ends = max((begin + took for begin, took, _ in self.calls), default=0)
        return [
            (at, sum(begin <= at < begin + took for begin, took, _ in self.calls))
            for at in (n * step for n in range(int(ends / step) + 1))
        ]


def drive(system: str, url: str, headers: dict[str, str], shape: Shape) -> Run:
    """Send the load, and keep what became of each call."""
    run = Run(system)

    async def all_of_it() -> None:
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=200)
        async with httpx2.AsyncClient(timeout=TIMEOUT_S, limits=limits, headers=headers) as http:
            (await http.post(url, json=BODY)).raise_for_status()
            began = time.monotonic()

            async def call(at: float) -> None:
                await asyncio.sleep(at - (time.monotonic() - began))
                sent = time.monotonic()
                try:
                    answered = (await http.post(url, json=BODY)).status_code == 200
                except httpx2.HTTPError:
                    answered = False
                run.calls.append((sent - began, time.monotonic() - sent, answered))

            async with asyncio.TaskGroup() as group:
                for at in shape.times():
                    group.create_task(call(at))

    asyncio.run(all_of_it())
    return run


@contextlib.contextmanager
def watched(counted: Callable[[], int], seen: list[tuple[float, int]]) -> Iterator[None]:
    """Ask for the number of replicas four times a second for the length of a block."""
    over = threading.Event()

    def ask() -> None:
        while not over.wait(0.25):
            seen.append((time.time(), counted()))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def towpath(shape: Shape) -> Run:
    """Send the load through a gateway to a deployment whose replicas follow it."""
    seen: list[tuple[float, int]] = []
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        up = stack.enter_context(towpath_up.running(folder))
        api = stack.enter_context(up.api())
        key = deployed(api)

        def counted() -> int:
            found = api.get("/deployments/surge").json()["replicas"]
            return sum(one["state"] == "ready" and not one["retiring"] for one in found)

        url, headers = f"{up.address}/v2/models/surge/infer", {"authorization": f"Bearer {key}"}
        began = time.time()
        with watched(counted, seen):
            run = drive("Towpath", url, headers, shape)
        made = api.get("/deployments/surge/scaling/decisions").json()["items"]
    run.decided = sorted(
        (round(datetime.fromisoformat(one["at"]).timestamp() - began, 2), one["after"])
        for one in made
    )
    return since(run, seen, began)


def deployed(api: httpx2.Client) -> str:
    """Deploy the embedding model; return a key that may call it."""
    registering.register(api, "surge", MODEL / "model", project="care/surge")
    manifest = {
        "apiVersion": "towpath.dev/v1alpha1",
        "kind": "ModelDeployment",
        "metadata": {"name": "surge", "project": "care/surge"},
        "spec": {
            "model": {"uri": "models:/surge/1"},
            "runtime": {"name": "onnx"},
            "scaling": SCALING,
        },
    }
    registering.made(api, "POST", "/deployments?environment=sandbox", json=manifest)
    towpath_up.eventually(
        lambda: api.get("/deployments/surge").json()["phase"] == "Ready", "deployment", within_s=60
    )
    return registering.key(api, "surge", project="care/surge")


def ray_serve(name: str, settings: dict[str, Any], shape: Shape) -> Run:
    """Send the load to Ray Serve."""
    port = free_port()
    arguments = [str(MODEL / "model"), str(port), str(MOST), json.dumps(settings)]
    command = [program("ray-serve", "python"), str(ROOT / "bench" / "ray_serve.py"), *arguments]
    env = {
        **os.environ,
        "RAY_SERVE_LOG_TO_STDERR": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "PYTHONPATH": str(ROOT / "runtimes" / "src"),
    }
    seen: list[tuple[float, int]] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env) as served:
        if served.stdout is None:
            raise AssertionError("standard output is a pipe")
        lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=lambda: [lines.put(one) for one in served.stdout or ()]).start()
        while lines.get(timeout=120).strip() != "up":
            pass
        try:
            began = time.time()
            run = drive(name, f"http://127.0.0.1:{port}/", {}, shape)
        finally:
            served.terminate()
        served.wait(60)
        while not lines.empty():
            with contextlib.suppress(ValueError):
                seen.append(tuple(json.loads(lines.get())))
    return since(run, seen, began)


def since(run: Run, seen: list[tuple[float, int]], began: float) -> Run:
    """Put what was seen of the replicas into the run's own time, changes alone."""
    for at, count in seen:
        if not run.replicas or run.replicas[-1][1] != count:
            run.replicas.append((round(at - began, 2), count))
    return run


def told(run: Run, shape: Shape) -> dict[str, Any]:
    """Return the figures of a run."""
    rise = shape.quiet_s
    fall = rise + RISE_S + shape.held_s
    during = sorted(took for begin, took, _ in run.calls if rise <= begin < fall)
    more = [at - rise for at, count in run.replicas if count > 1 and at >= rise]
    crowded = [at for at, waiting in run.outstanding() if at > rise and waiting > MOST * TARGET]
    return {
        "calls": len(run.calls),
        "failed": sum(not answered for _, _, answered in run.calls),
        "decided_after_s": round(run.decided[0][0] - rise, 2) if run.decided else None,
        "second_replica_after_s": round(more[0], 1) if more else None,
        "most_replicas": max(count for _, count in run.replicas),
        "most_outstanding": max(waiting for _, waiting in run.outstanding()),
        "queue_gone_after_s": round(crowded[-1] - rise, 1) if crowded else 0.0,
        "p50_ms": round(during[len(during) // 2] * 1000),
        "p95_ms": round(during[len(during) * 95 // 100] * 1000),
    }


def main() -> None:
    """Measure, print and keep it."""
    reader = argparse.ArgumentParser(description=__doc__)
    reader.add_argument("--quiet-per-s", type=float, default=9.0)
    reader.add_argument("--held-s", type=float, default=45.0)
    reader.add_argument("--after-s", type=float, default=30.0)
    given = reader.parse_args()
    shape = Shape(given.quiet_per_s, 10.0, given.held_s, given.after_s)
    install("ray-serve")
    install("picture")
    runs = [towpath(shape), *(ray_serve(name, settings, shape) for name, settings in RAY.items())]
    figures = {run.system: told(run, shape) for run in runs}
    print(json.dumps(figures, indent=1))
    RESULTS.mkdir(exist_ok=True)
    place = RESULTS / f"surge-{time.strftime('%Y-%m-%d')}.json"
    report = {
        "machine": machine(),
        "shape": asdict(shape),
        "figures": figures,
        "replicas": {run.system: run.replicas for run in runs},
        "decided": {run.system: run.decided for run in runs if run.decided},
        "calls": {
            run.system: [
                [round(begin, 2), round(took * 1000)] for begin, took, _ in sorted(run.calls)
            ]
            for run in runs
        },
    }
    place.write_text(json.dumps(report) + "\n", encoding="utf-8")
    draw = [program("picture", "python"), str(ROOT / "bench" / "surge_picture.py"), str(place)]
    subprocess.run(draw, check=True)


if __name__ == "__main__":
    main()
