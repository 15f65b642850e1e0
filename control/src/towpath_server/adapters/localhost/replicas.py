"""
The model servers of this machine, by replica id: `Compute` as child processes.

What runs is told by `place` and `remove`; both may be called again and again. Processes outlive
this program: the next one adopts those whose pid, start time and socket match what was written
down.
"""

import asyncio
import os
import re
import shutil
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import psutil

from towpath_server.adapters.compute import (
    Capacity,
    LogPart,
    Observation,
    ReplicaSpec,
    State,
    Use,
)
from towpath_server.adapters.localhost import gpus, keeper, logs, state
from towpath_server.adapters.localhost.isolation import Isolator, Started
from towpath_server.adapters.localhost.keeper import (
    HOME_ENV,
    PATH,
    REPLICA_ENV,
    Keeper,
    Machine,
    Place,
)
from towpath_server.adapters.localhost.process import Process, start_of
from towpath_server.adapters.localhost.spec import Limits
from towpath_server.adapters.objectstore.store import Kept
from towpath_server.core import log as logging
from towpath_server.core.errors import TowpathError
from towpath_server.core.folder import DataFolder

log = logging.get(__name__)

_MEASURE_S = 60.0
_ID = re.compile(r"[a-z0-9_]{1,64}")


class LocalReplicas:
    """Every model server process under one data folder."""

    def __init__(
        self,
        folder: DataFolder,
        limits: Limits | None = None,
        kept: Callable[[], Kept] = lambda: Kept(0, None),
    ) -> None:
        """
        Start nothing yet.

        Args:
            kept: Measures what this machine keeps of models; asked once a minute at most.
        """
        self._root = folder.replicas.absolute()
        self._sockets = folder.sockets.absolute()
        self._limits = limits or Limits()
        self._gpus = gpus.Gpus()
        self._isolator = Isolator(folder, self._limits.isolation, self._limits.processes)
        self._machine = Machine(self._limits, self._isolator, self._gpus, self._tell)
        self._kept = kept
        self._measured: tuple[float, Kept] | None = None
        self._keepers: dict[str, Keeper] = {}
        self._parked: dict[str, tuple[Process, state.Running]] = {}
        self._turns: dict[str, asyncio.Lock] = {}
        self._listeners: list[Callable[[str], None]] = []

    async def start(self) -> list[str]:
        """Adopt what still runs, end what nobody knows; return the ids that were adopted."""
        for folder in (self._root, self._sockets):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._gpus.devices = await asyncio.to_thread(gpus.look, self._limits.gpus)
        await self._isolator.look()
        for folder in sorted(self._root.iterdir()):
            running = state.load(folder)
            if running is None or running.id != folder.name:
                continue
            process = Process.find(running.pid, running.started)
            if process is None:
                state.forget(folder)
            elif await asyncio.to_thread(state.listens, running.address, running.pid):
                self._parked[running.id] = (process, running)
                self._gpus.hold(running.id, running.gpus)
                log.info("replica.adopted", replica=running.id, pid=running.pid)
            else:
                process.close()
                state.forget(folder)
        await self._end_orphans()
        await asyncio.to_thread(self._isolator.sweep, set(self._parked))
        if self._isolator.isolation.measures:
            self._isolator.launchers.keep_ready()
        return sorted(self._parked)

    def on_change(self, listener: Callable[[str], None]) -> None:
        """Call `listener` with a replica's id whenever its state changes."""
        self._listeners.append(listener)

    def ids(self) -> set[str]:
        """Return the replicas that are kept here, adopted ones included."""
        return set(self._keepers) | set(self._parked)

    def observe(self, replica: str) -> Observation | None:
        """Tell how a replica is; none when it is not kept here."""
        kept = self._keepers.get(replica)
        if kept is not None:
            return kept.observe() if kept.alive else None
        if replica in self._parked:
            process, running = self._parked[replica]
            return Observation(
                id=replica,
                state=State.READY if running.ready else State.STARTING,
                address=running.address,
                pid=process.pid,
                restarts=running.restarts,
                gpus=running.gpus,
                isolation=running.isolation,
            )
        return None

    async def place(self, spec: ReplicaSpec) -> None:
        """Keep this replica running from now on; one that runs from another spec is replaced."""
        async with self._turn(spec.id):
            place = self._place(spec.id)
            current = self._keepers.get(spec.id)
            if current is not None:
                if current.alive and current.spec.fingerprint == spec.fingerprint:
                    return
                await current.stop(self._limits.grace_s)
            adopted = self._parked.pop(spec.id, None)
            if adopted is not None and not self._may_go_on(adopted[1], spec):
                await keeper.end(_started(*adopted), self._limits.grace_s)
                adopted = None
            self._keepers[spec.id] = Keeper(spec, place, self._machine, adopted=adopted)

    def _may_go_on(self, running: state.Running, spec: ReplicaSpec) -> bool:
        # A server that was started with fewer measures than are demanded now is replaced.
        missing = set(self._isolator.required) - set(running.isolation)
        return running.fingerprint == spec.fingerprint and not missing

    async def remove(self, replica: str) -> None:
        """End a replica and remove what it left; one that is not there is no error."""
        async with self._turn(replica):
            await self._end(replica, self._limits.grace_s)
            await asyncio.to_thread(keeper.remove, self._place(replica))
        self._turns.pop(replica, None)

    def lacking(self, programs: Sequence[str]) -> Sequence[str]:
        """Return those of the programs that a model server would not find."""
        return [name for name in programs if shutil.which(name, path=PATH) is None]

    async def stop_all(self, *, grace_s: float | None = None) -> None:
        """End every replica, side by side, within `grace_s` instead of as set; their logs stay."""
        grace = self._limits.grace_s if grace_s is None else grace_s
        self._isolator.launchers.close()
        await asyncio.gather(*(self._end(replica, grace) for replica in self.ids()))

    async def detach(self) -> None:
        """Stop watching; every process goes on, for the next control plane to adopt."""
        for kept in self._keepers.values():
            await kept.detach()
        for process, _ in self._parked.values():
            process.close()
        self._isolator.launchers.close()
        self._keepers.clear()
        self._parked.clear()

    async def logs(
        self,
        replica: str,
        *,
        cursor: int | None = None,
        tail: int | None = None,
        since_ms: int | None = None,
    ) -> LogPart:
        """Read a replica's log; see `Compute.logs`."""
        path = self._place(replica).log
        return await asyncio.to_thread(logs.read, path, cursor=cursor, tail=tail, since_ms=since_ms)

    async def capacity(self) -> Capacity:
        """Look at this machine, and say how its model servers are isolated."""
        # Before the first replica, its folder is not there yet.
        there = next(one for one in (self._root, *self._root.parents) if one.exists())
        return Capacity(
            name=socket.gethostname() or "localhost",
            cores=psutil.cpu_count() or 1,
            threads=self._limits.threads,
            memory_bytes=psutil.virtual_memory().total,
            disk_bytes=psutil.disk_usage(str(there)).total,
            gpus=tuple(device.gpu for device in self._gpus.devices),
            isolation=self._isolator.isolation,
            use=await asyncio.to_thread(self._use, there),
        )

    def _use(self, there: Path) -> Use:
        now = time.monotonic()
        if self._measured is None or now - self._measured[0] > _MEASURE_S:
            try:
                self._measured = now, self._kept()
            except TowpathError as error:
                log.warning("artifacts.unmeasured", error=error.detail)
        kept = self._measured[1] if self._measured else Kept(0, None)
        return Use(self._gpus.use(), psutil.disk_usage(str(there)).free, kept.size, kept.most)

    async def _end(self, replica: str, grace_s: float) -> None:
        kept = self._keepers.get(replica)
        if kept is not None:
            await kept.stop(grace_s)
            self._keepers.pop(replica, None)
        parked = self._parked.pop(replica, None)
        if parked is not None:
            await keeper.end(_started(*parked), grace_s)
            self._gpus.release(replica)
            state.forget(self._place(replica).folder)

    async def _end_orphans(self) -> None:
        """End processes that were started here and are not known: a crash came before the note."""
        known = {process.pid for process, _ in self._parked.values()}
        for pid in await asyncio.to_thread(_ours, str(self._root)):
            try:
                leader = os.getsid(pid)
            except ProcessLookupError:
                continue
            started = start_of(pid)
            if leader in known or started is None:
                continue
            orphan = Process.find(pid, started)
            if orphan is not None:
                log.warning("replica.orphan_ended", pid=pid)
                await keeper.end(Started(orphan), 0)

    def _place(self, replica: str) -> Place:
        if not _ID.fullmatch(replica):
            raise ValueError(f"{replica!r} is not the id of a replica")
        return Place(self._root / replica, self._sockets / replica)

    def _turn(self, replica: str) -> asyncio.Lock:
        return self._turns.setdefault(replica, asyncio.Lock())

    def _tell(self, replica: str) -> None:
        for listener in self._listeners:
            listener(replica)


def _started(process: Process, running: state.Running) -> Started:
    return Started(process, running.isolation, running.groups)


def _ours(root: str) -> list[int]:
    found = []
    for process in psutil.process_iter():
        try:
            env = process.environ()
        except (psutil.Error, OSError):
            continue
        if env.get(HOME_ENV) == root and REPLICA_ENV in env:
            found.append(process.pid)
    return found
