"""Measure the gateway beside nginx on this machine; rows and table go to `bench/results/`.

nginx runs in turns with the gateway, since the machine's speed drifts: what counts is the median of the
paired ratios (`× nginx`), not a raw figure.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import json
import statistics
import subprocess
import sys
import time
from typing import Any

import ingest
import shipping
from gateways import GATEWAYS, ROOT, release_binary, towpath_with
from kept import RESULTS, machine
from report import table
from rig import SIZES, Rig, build_tools, memory_mb, rig, upstream

TURNS = 5
MEMORY_REQUESTS = 50_000
OPEN_STREAMS = 2_000


def middle(rows: list[dict], key: str) -> dict:
    """Return the row in the middle by a dotted key; raise when nothing was answered."""

    def value(row: dict) -> float:
        found: Any = row
        for part in key.split("."):
            if found is None:
                raise RuntimeError("it answered nothing while it was measured")
            found = found[part]
        return float(found)

    return sorted(rows, key=value)[len(rows) // 2]


def same_core(rigs: dict[str, Rig]) -> list[dict]:
    """One connection, everything on core 1: the software path alone, in turns."""
    for running in rigs.values():
        running.repin(1)
    turns = [
        {name: r.measure("plain", "-c", "1", "-d", "1") for name, r in rigs.items()}
        for _ in range(2 * TURNS)
    ]
    for running in rigs.values():
        running.repin(0)
    return [
        {"name": name, **middle([turn[name] for turn in turns], "lat_us.p50")["lat_us"]}
        for name in rigs
    ]


def beside(ours: Rig, nginx: Rig) -> dict:
    """64 connections at full speed, in turns with nginx."""
    ours.load("plain", "-c", "64", "-d", "2")
    pairs = [
        (
            ours.measure("plain", "-c", "64", "-d", "3"),
            nginx.measure("plain", "-c", "64", "-d", "3"),
        )
        for _ in range(TURNS)
    ]
    return {
        "pairs": [
            {"towpath": mine["rps"], "nginx": theirs["rps"], "noise": mine["noise"]}
            for mine, theirs in pairs
        ],
        "x_nginx": round(
            statistics.median(mine["rps"] / theirs["rps"] for mine, theirs in pairs), 3
        ),
        "full": middle([mine for mine, _ in pairs], "rps"),
        "full_nginx": middle([theirs for _, theirs in pairs], "rps"),
    }


def by_size(ours: Rig, nginx: Rig) -> dict[str, dict]:
    """The same with longer prompts; the pairs of each size beside each other."""
    found = {}
    for body in SIZES:
        pairs = [
            [running.measure(body, "-c", "64", "-d", "2") for running in (ours, nginx)]
            for _ in range(TURNS)
        ]
        found[body] = {
            "x_nginx": round(statistics.median(a["rps"] / b["rps"] for a, b in pairs), 3),
            "towpath": middle([mine for mine, _ in pairs], "rps"),
            "nginx": middle([theirs for _, theirs in pairs], "rps"),
        }
    return found


def open_streams(running: Rig) -> dict[str, float]:
    """Memory while so many streams are open at once: read in the middle of a run."""
    with concurrent.futures.ThreadPoolExecutor(1) as beside:
        load = beside.submit(
            running.load,
            "s10",
            "-c",
            str(OPEN_STREAMS),
            "-d",
            "6",
            "-w",
            "2",
            "-g",
            "2",
            "-t",
            "60",
        )
        time.sleep(5)
        memory = memory_mb(running.pids())
        load.result()
    return memory


def measure_shipping() -> dict:
    """The same with a real control plane behind it, which takes the records while they are made."""
    with (
        upstream() as up,
        shipping.control_plane(up[0]) as gateway,
        rig(gateway, up) as ours,
        rig(GATEWAYS["nginx"], up) as nginx,
    ):
        return beside(ours, nginx)


def measure_keys() -> list[dict]:
    """One connection on one core, with few and with many keys, in turns."""
    with contextlib.ExitStack() as stack:
        up = stack.enter_context(upstream())
        rigs = {
            str(keys): stack.enter_context(rig(towpath_with(keys), up))
            for keys in (10, 10_000, 100_000)
        }
        rows = same_core(rigs)
        return [{**row, "memory_mb": memory_mb(rigs[row["name"]].pids())} for row in rows]


def streams(*running: Rig) -> dict[str, list[dict]]:
    """64 streams at full speed, and 500 slow ones."""
    fast = ("-c", "64", "-d", "3", "-w", "0.5")
    slow = ("-c", "500", "-d", "5", "-w", "2.5", "-g", "1.5", "-t", "40")
    return {
        "s0": [r.measure("s0", *fast) for r in running],
        "slow500": [r.measure("s10", *slow) for r in running],
    }


def measure_tls() -> dict:
    """The same ratios with TLS on both sides: callers to the gateway, the gateway to the upstream."""
    with contextlib.ExitStack() as stack:
        up = stack.enter_context(upstream(tls=True))
        names = ("towpath", "nginx", "direct")
        ours, nginx, direct = (stack.enter_context(rig(GATEWAYS[name], up)) for name in names)
        return {
            **beside(ours, nginx),
            "one_core": same_core({"direct": direct, "nginx": nginx, "towpath": ours}),
            **streams(ours, nginx),
            "sizes": by_size(ours, nginx),
            "memory_mb": memory_mb(ours.pids()),
        }


def measure_gateway() -> dict:
    """All measures of the gateway, nginx in turns."""
    with contextlib.ExitStack() as stack:
        up = stack.enter_context(upstream())
        names = ("towpath", "nginx", "direct")
        ours, nginx, direct = (stack.enter_context(rig(GATEWAYS[name], up)) for name in names)
        row: dict = {"memory_idle_mb": memory_mb(ours.pids()), **beside(ours, nginx)}
        row["one_core"] = same_core({"direct": direct, "nginx": nginx, "towpath": ours})
        sent = ours.load("plain", "-c", "64", "-n", str(MEMORY_REQUESTS), "-d", "60")
        row["memory_after_mb"], row["after_requests"] = memory_mb(ours.pids()), sent["ok"]
        row |= streams(ours, nginx)
        row["memory_streams_mb"] = memory_mb(ours.pids())
        row["memory_open_streams_mb"] = open_streams(ours)
        row["sizes"] = by_size(ours, nginx)
        return row


MEASURES = {
    "gateway": measure_gateway,
    "tls": measure_tls,
    "keys": measure_keys,
    "shipping": measure_shipping,
    "ingest": ingest.rates,
}


def main() -> int:
    """Build, measure, write rows and table; what one measure found is kept when the next one fails."""
    reader = argparse.ArgumentParser(description=__doc__)
    reader.add_argument(
        "--only",
        nargs="+",
        choices=MEASURES,
        default=list(MEASURES),
        help="take these anew, and keep the rest of today's result",
    )
    options = reader.parse_args()
    build = ["cargo", "build", "-q", "--release", "--locked", "-p", "towpath-gateway"]
    subprocess.run(build, cwd=ROOT, check=True)
    build_tools()
    RESULTS.mkdir(exist_ok=True)
    raw, page = (RESULTS / f"{time.strftime('%Y-%m-%d')}.{end}" for end in ("json", "md"))
    again = set(options.only) != set(MEASURES) and raw.exists()
    result: dict[str, Any] = json.loads(raw.read_text(encoding="utf-8")) if again else {}
    result["machine"] = machine()
    result["binary_mb"] = round(release_binary().stat().st_size / 2**20, 1)
    for name in options.only:
        result[name] = MEASURES[name]()
        raw.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    page.write_text(table(result), encoding="utf-8")
    print(table(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
