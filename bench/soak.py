"""Keep one gateway under full load with callers that leave, and watch its memory; rows go to `bench/results/`.

Each cycle runs the generator three times: plain answers and streams at full speed, then slow streams
that the generator's end cuts off in the middle. Memory is read between cycles, when nothing is in flight
and every record is shipped: what waits for the control plane is held, and is no leak. A few calls go
before it, since the allocator gives back what is free only as its threads go on.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import time
import urllib.request

import shipping
from gateways import ROOT
from kept import keep
from rig import Rig, build_tools, memory_mb, rig, upstream

# A cycle of some 15 s, a third of it slow streams that are cut.
CYCLE = (
    ("plain", ("-c", "64", "-d", "7")),
    ("s0", ("-c", "64", "-d", "4")),
    ("s10", ("-c", "500", "-d", "0.5", "-t", "40")),
)
EASY = ("plain", ("-c", "4", "-d", "0.3"))
# Until allocator and pools have met their largest load.
WARM_CYCLES = 4
# More than the noise of an allocator, less than any leak of a byte per request over half an hour.
FLAT = 1.1
SHIPPED_WITHIN_S = 300


def cycle(running: Rig) -> dict[str, float]:
    """Run one cycle; returns what was done and the memory afterwards."""
    rows = [running.load(body, *options) for body, options in CYCLE]
    waited = shipped(running)
    for _ in range(2):
        running.load(EASY[0], *EASY[1])
        waited += shipped(running)
    own = memory_mb(running.pids())
    return {
        "at": round(time.time(), 1),
        "answered": sum(row["ok"] for row in rows),
        "shipping_s": round(waited, 1),
        "own_mb": own["own"],
        "resident_mb": own["resident"],
    }


def shipped(running: Rig) -> float:
    """Wait until the control plane has every record; returns for how many seconds."""
    began = time.monotonic()
    while time.monotonic() - began < SHIPPED_WITHIN_S:
        with urllib.request.urlopen(f"http://127.0.0.1:{running.place.port}/metrics") as answer:
            told = answer.read().decode()
        if re.search(r"^towpath_gateway_journal_unshipped_records 0$", told, re.MULTILINE):
            return time.monotonic() - began
        time.sleep(0.2)
    raise RuntimeError(f"records were not shipped within {SHIPPED_WITHIN_S} s")


def main() -> int:
    """Run until the time is over; 1 when memory grew."""
    reader = argparse.ArgumentParser(description=__doc__)
    reader.add_argument("--minutes", type=float, default=30)
    options = reader.parse_args()
    build = ["cargo", "build", "-q", "--release", "--locked", "-p", "towpath-gateway"]
    subprocess.run(build, cwd=ROOT, check=True)
    build_tools()
    rows: list[dict[str, float]] = []
    # With a control plane behind it: half an hour of records would fill any journal.
    with (
        upstream() as up,
        shipping.control_plane(up[0]) as gateway,
        rig(gateway, up) as running,
    ):
        until = time.monotonic() + 60 * options.minutes
        while time.monotonic() < until or len(rows) < WARM_CYCLES + 2:
            rows.append(cycle(running))
            print(json.dumps(rows[-1]), flush=True)
        return 0 if kept(rows, options.minutes) else 1


def kept(rows: list[dict[str, float]], minutes: float) -> bool:
    """Write what was measured; returns whether memory stayed flat."""
    warm = [row["own_mb"] for row in rows[WARM_CYCLES:]]
    third = max(1, len(warm) // 3)
    first, last = statistics.mean(warm[:third]), statistics.mean(warm[-third:])
    flat = last <= first * FLAT
    answered = sum(row["answered"] for row in rows)
    result = {
        "minutes": minutes, "cycles": len(rows), "answered": answered,
        "first_third_mb": round(first, 1), "last_third_mb": round(last, 1), "flat": flat, "rows": rows,
    }  # fmt: skip
    keep("soak", result)
    print(
        f"{answered:,} answers; memory {first:.1f} MB in the first third, {last:.1f} MB in the last"
    )
    return flat


if __name__ == "__main__":
    sys.exit(main())
