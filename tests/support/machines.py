"""Replicas of the tiny model server in `model_server.py`, and control planes that come and go."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from towpath_server.adapters.compute import (
    Capacity,
    Gpu,
    Listen,
    Observation,
    Probe,
    ReplicaSpec,
)
from towpath_server.adapters.localhost.process import start_of
from towpath_server.adapters.localhost.replicas import LocalReplicas
from towpath_server.adapters.localhost.spec import Limits
from towpath_server.core.folder import DataFolder
from towpath_server.core.secret import Secret

SERVER = Path(__file__).with_name("model_server.py")
WAIT_S = 20.0


def spec(replica: str = "rep_1", *more: str, **changes: object) -> ReplicaSpec:
    given = {
        "id": replica,
        "command": (sys.executable, str(SERVER), "--listen", "{listen}", *more),
        "listen": Listen.UNIX,
        "secret": Secret("a-secret-of-this-replica"),
        "startup": Probe("/health", 0.02, 500),
        "readiness": Probe("/health", 0.02, 3),
    }
    return ReplicaSpec(**{**given, **changes})


class Machine:
    """One data folder, and the control planes that come and go over it."""

    def __init__(self, folder: Path, limits: Limits) -> None:
        self.folder = DataFolder.at(folder)
        self.limits = limits
        self._changed = asyncio.Event()
        self.replicas = self._new()

    def _new(self) -> LocalReplicas:
        replicas = LocalReplicas(self.folder, self.limits)
        replicas.on_change(lambda _: self._changed.set())
        return replicas

    async def restart(self) -> list[str]:
        """Let the control plane die and come back; its processes are left as they are."""
        await self.replicas.detach()
        self.replicas = self._new()
        return await self.replicas.start()

    async def until(
        self, holds: Callable[[Observation], bool], replica: str = "rep_1"
    ) -> Observation:
        """Wait for a state of a replica."""
        async with asyncio.timeout(WAIT_S):
            while True:
                self._changed.clear()
                seen = self.replicas.observe(replica)
                if seen is not None and holds(seen):
                    return seen
                await self._changed.wait()

    def home(self, replica: str = "rep_1") -> Path:
        """Return the folder that a replica may write to."""
        folder = self.folder.replicas / replica / "home"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def log(self, replica: str = "rep_1") -> Path:
        return self.folder.replicas / replica / "log"


class Present:
    """The replicas of whichever control plane lives now, for what is composed once."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine

    def __getattr__(self, name: str) -> object:
        return getattr(self._machine.replicas, name)


def alive(pid: int) -> bool:
    return start_of(pid) is not None


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


class OneNode:
    """A machine of a known size, which runs nothing."""

    async def capacity(self) -> Capacity:
        """Return it."""
        gpus = tuple(Gpu(f"GPU-{number}", "GPU", 0, "gpu") for number in range(4))
        return Capacity("node-1", cores=2, threads=2, memory_bytes=64 << 30, gpus=gpus)

    def lacking(self, programs: Sequence[str]) -> Sequence[str]:
        """Return all of them: nothing is installed there."""
        return programs
