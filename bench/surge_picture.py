"""Draw what `surge.py` kept: `python bench/surge_picture.py RESULT.json` writes RESULT.svg beside it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")
from matplotlib import pyplot as plt

COLOURS = ("#0b7285", "#e8590c", "#f2a65a")
WINDOW_S = 0.5


def main() -> None:
    """Draw three panels over one time: load and replicas, calls under way, latency."""
    place = Path(sys.argv[1])
    kept = json.loads(place.read_text(encoding="utf-8"))
    plt.rcParams.update({"svg.hashsalt": "towpath", "font.size": 9, "axes.spines.top": False})
    figure, (load, waiting, latency) = plt.subplots(3, 1, figsize=(9, 8), sharex=True)
    for (system, calls), colour in zip(kept["calls"].items(), COLOURS, strict=False):
        steps = kept["replicas"][system]
        end = max(begin + took / 1000 for begin, took in calls)
        times, counts = [at for at, _ in steps] + [end], [n for _, n in steps] + [steps[-1][1]]
        load.step(times, counts, where="post", color=colour, label=system)
        grid = [n * WINDOW_S for n in range(int(end / WINDOW_S) + 1)]
        under_way = [sum(b <= at < b + took / 1000 for b, took in calls) for at in grid]
        waiting.plot(grid, under_way, color=colour, label=system)
        slow = [_p95([took for b, took in calls if at <= b < at + WINDOW_S]) for at in grid]
        latency.plot(grid, slow, color=colour, label=system)
    beside = load.twinx()
    first = next(iter(kept["calls"].values()))
    rate = [sum(at <= b < at + 1 for b, _ in first) for at in range(int(first[-1][0]) + 1)]
    beside.fill_between(range(len(rate)), rate, step="post", color="#adb5bd", alpha=0.3)
    beside.set_ylabel("calls/s (grey)")
    load.set_ylabel("replicas that take calls")
    load.set_yticks(sorted({n for steps in kept["replicas"].values() for _, n in steps}))
    load.legend(loc="upper right", frameon=False)
    waiting.set_ylabel("calls under way")
    waiting.set_yscale("symlog", linthresh=10)
    waiting.set_ylim(bottom=0)
    latency.set_ylabel("latency p95, ms")
    latency.set_yscale("log")
    latency.set_xlabel("seconds")
    figure.suptitle("Load that rises tenfold in two seconds (ONNX Runtime, two cores)")
    figure.tight_layout()
    figure.savefig(place.with_suffix(".svg"), metadata={"Date": None})


def _p95(values: list[float]) -> float:
    return sorted(values)[len(values) * 95 // 100] if values else float("nan")


if __name__ == "__main__":
    main()
