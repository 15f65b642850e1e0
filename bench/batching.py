"""
Throughput of model servers that compute what waits together, beside one request at a time.

`python bench/batching.py [--seconds 8]` starts the ONNX server on the embedding model and the Python
server on a class that multiplies matrices, each with `--batch-rows` 1 and 16, and lets 16 callers
ask at once. Turns alternate, so that a busy moment of the machine meets both.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

from gateways import ROOT
from kept import keep

sys.path.insert(0, str(ROOT / "tests" / "support"))

from replicas import ARTIFACTS, Replica, prepared, replica

CALLERS = 16
TURNS = 3
ROWS = (1, 16)
INFER = "/v2/models/subject/infer"
TEXT = "my card was declined twice and the app says nothing about it"
CLASS = """
import numpy as np


class Model:
    inputs = [{"name": "x", "datatype": "FP32", "shape": [-1, 1024]}]
    outputs = [{"name": "y", "datatype": "FP32", "shape": [-1, 8]}]

    def load(self, folder):
        made = np.random.default_rng(0)
        self.layers = [made.standard_normal((1024, 1024), np.float32) for _ in range(4)]

    def predict(self, inputs):
        x = inputs["x"]
        for layer in self.layers:
            x = np.maximum(x @ layer, 0)
        return {"y": x[:, :8]}
"""


def body(name: str) -> bytes:
    """Return the request that every caller sends."""
    if name == "onnx":
        tensor = {"name": "text", "datatype": "BYTES", "shape": [1], "data": [TEXT]}
    else:
        tensor = {"name": "x", "datatype": "FP32", "shape": [1, 1024], "data": [0.5] * 1024}
    return json.dumps({"inputs": [tensor]}).encode()


def throughput(running: Replica, content: bytes, seconds: float) -> dict[str, float]:
    """Let callers ask for some time; returns answers per second and the middle latency in ms."""
    took: list[float] = []
    ready = threading.Barrier(CALLERS)

    def call() -> None:
        with running.client() as http:
            ready.wait()
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                began = time.monotonic()
                http.post(INFER, content=content).raise_for_status()
                took.append(time.monotonic() - began)

    threads = [threading.Thread(target=call) for _ in range(CALLERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {"per_s": len(took) / seconds, "p50_ms": statistics.median(took) * 1e3}


def main() -> None:
    """Measure, print and keep it."""
    reader = argparse.ArgumentParser(description=__doc__)
    reader.add_argument("--seconds", type=float, default=8)
    seconds = reader.parse_args().seconds
    report = []
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "model"
        folder.mkdir()
        (folder / "model.py").write_text(CLASS, encoding="utf-8")
        models = {"onnx": prepared(ARTIFACTS / "minilm") / "model", "python": folder}
        for name, model in models.items():
            turns: dict[int, list[dict[str, float]]] = {rows: [] for rows in ROWS}
            for _ in range(TURNS):
                for rows in ROWS:
                    socket = f"unix:{place}/{name}.sock"
                    with replica(name, model, socket, f"--batch-rows={rows}") as running:
                        throughput(running, body(name), 1)
                        turns[rows].append(throughput(running, body(name), seconds))
            for rows, found in turns.items():
                row = {key: round(statistics.median(one[key] for one in found), 1)
                       for key in ("per_s", "p50_ms")}  # fmt: skip
                report.append({"server": name, "batch_rows": rows, **row})
                print(json.dumps(report[-1]), flush=True)
    keep("batching", {"callers": CALLERS, "rows": report})


if __name__ == "__main__":
    main()
