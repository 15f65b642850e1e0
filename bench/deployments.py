"""
500 deployments declared: what a round of the reconcile loop costs, CPU when idle, and memory.

`python bench/deployments.py [COUNT]`. The manifests go through the API as anybody's do, on SQLite;
what they are placed on is a stand-in for compute that says at once that a replica is ready, so that
the loop and the database are measured and no model server.
"""

# ruff: noqa: D102 (the stand-in is described where its protocol is)
from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import psutil
from gateways import ROOT
from kept import keep

sys.path.insert(0, str(ROOT / "tests" / "support"))

import httpx2
from databases import SECRET_KEY, Templates
from machines import Machine
from platform_api import ADMIN_KEY, Api
from worlds import World

from towpath_server.adapters.compute import Capacity, LogPart, Observation, ReplicaSpec, State
from towpath_server.adapters.facilities import Facilities
from towpath_server.adapters.localhost.spec import Limits
from towpath_server.api import create_app
from towpath_server.core import log
from towpath_server.core.clock import FixedClock, SystemClock
from towpath_server.core.config import ComputeSettings, LogSettings, Settings
from towpath_server.core.secret import Secret
from towpath_server.domains.deployments import reconcile
from towpath_server.domains.users import service as users
from towpath_server.loops.reconcile import ReconcileLoop

COUNT = 500
IDLE_S = 70.0  # more than the minute in which everything is looked at once
ROUNDS = 3


class StandIn:
    """Compute without processes: what is placed is ready."""

    def __init__(self) -> None:
        self._there: dict[str, ReplicaSpec] = {}
        self._listeners: list[Callable[[str], None]] = []

    async def start(self) -> list[str]:
        return []

    async def place(self, spec: ReplicaSpec) -> None:
        self._there[spec.id] = spec
        for listener in self._listeners:
            listener(spec.id)

    def observe(self, replica: str) -> Observation | None:
        there = replica in self._there
        return Observation(replica, State.READY, f"unix:/run/{replica}") if there else None

    async def remove(self, replica: str) -> None:
        self._there.pop(replica, None)

    async def logs(
        self,
        replica: str,
        *,
        cursor: int | None = None,
        tail: int | None = None,
        since_ms: int | None = None,
    ) -> LogPart:
        del replica, tail, since_ms
        return LogPart([], cursor or 0)

    def ids(self) -> set[str]:
        return set(self._there)

    def on_change(self, listener: Callable[[str], None]) -> None:
        self._listeners.append(listener)

    async def capacity(self) -> Capacity:
        return Capacity("here", 2, 2, 1 << 40)

    def lacking(self, programs: Sequence[str]) -> Sequence[str]:
        del programs
        return []

    async def stop_all(self, *, grace_s: float | None = None) -> None:
        del grace_s
        self._there.clear()

    async def detach(self) -> None:
        self._there.clear()


async def measure(folder: Path, count: int) -> dict[str, float]:
    """Declare, settle, then count what rounds and idling cost."""
    settings = Settings(
        data=folder / "data",
        secret_key=SECRET_KEY,
        admin_key=Secret(ADMIN_KEY),
        runtimes_dir=folder / "runtimes",
        compute=ComputeSettings(threads=64),
    )
    async with Templates(folder / "templates").database(
        "sqlite", folder / "data" / "control", SystemClock()
    ) as db:
        async with db.write() as tx:
            await users.ensure_admin_key(tx, settings.admin_key)
        facilities = replace(Facilities.of(settings), servers=StandIn())
        transport = httpx2.ASGITransport(create_app(db, settings, facilities=facilities))
        async with httpx2.AsyncClient(transport=transport, base_url="http://bench.test") as http:
            world = World(
                db,
                FixedClock(datetime.now(UTC)),
                Api(http, ADMIN_KEY),
                Machine(folder / "m", Limits()),
                facilities,
            )
            await world.prepare()
            await world.api.create("/quotas", team="care", environment="sandbox", replicas=count)
            began = time.monotonic()
            for number in range(count):
                manifest = world.manifest()
                manifest["metadata"]["name"] = f"triage-{number}"
                await world.deploy(manifest)
            declared = time.monotonic() - began
            loop = reconcile.loop(db, facilities, holder="bench")
            return {
                "deployments": count,
                "declare_ms_each": declared / count * 1e3,
                **await _loop(loop),
            }


async def _loop(loop: ReconcileLoop) -> dict[str, float]:
    began = time.monotonic()
    await loop.round()
    settled = time.monotonic() - began
    rounds = []
    for _ in range(ROUNDS):
        began = time.monotonic()
        await loop.round()
        rounds.append(time.monotonic() - began)
    running = asyncio.create_task(loop.run())
    await asyncio.sleep(5)  # the first look at everything is not idling
    own = psutil.Process()
    before = sum(own.cpu_times()[:2])
    await asyncio.sleep(IDLE_S)
    used = sum(own.cpu_times()[:2]) - before
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return {
        "settle_s": settled,
        "whole_round_ms": min(rounds) * 1e3,
        "idle_cpu_percent": used / IDLE_S * 100,
        "memory_mib": own.memory_info().rss / 2**20,
    }


def main() -> None:
    """Measure, print and keep it."""
    log.configure(LogSettings(level="error"))
    count = int(sys.argv[1]) if len(sys.argv) > 1 else COUNT
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "runtimes").mkdir()
        (folder / "templates").mkdir()
        (folder / "runtimes" / "tiny.yaml").write_text(json.dumps(_RUNTIME))
        found = asyncio.run(measure(folder, count))
    report = {key: round(value, 2) for key, value in found.items()}
    print(json.dumps(report, indent=1))
    keep("deployments", report)


_RUNTIME = {
    "apiVersion": "towpath.dev/v1alpha1",
    "kind": "Runtime",
    "metadata": {"name": "tiny", "version": "1.0"},
    "spec": {
        "formats": ["tiny"],
        "dialect": "kserve_v2",
        "operations": ["predict"],
        "command": ["tiny", "{model}", "{listen}"],
        "healthPath": "/health",
        "startupProbe": {"periodSeconds": 1, "failureThreshold": 10},
        "readinessProbe": {"periodSeconds": 1, "failureThreshold": 3},
    },
}


if __name__ == "__main__":
    main()
