"""
Keeps one replica running: start, watch its health, start again with backoff, stop in order.

One task a replica; it depends on no database, so models come back while the rest of the control
plane is in trouble.
"""

import asyncio
import contextlib
import shutil
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from towpath_server.adapters.compute import Listen, Observation, ReplicaSpec, State
from towpath_server.adapters.localhost import cgroups, isolation, logs, probe, state
from towpath_server.adapters.localhost.gpus import Gpus, NoGpu, environment
from towpath_server.adapters.localhost.isolation import CannotStart, Isolator, Order, Started
from towpath_server.adapters.localhost.process import Process
from towpath_server.adapters.localhost.spec import Limits
from towpath_server.core import log as logging

log = logging.get(__name__)

_TAIL_LINES = 12  # what of the log goes into a condition's message
_MESSAGE_CHARS = 2_000  # a condition is read by people
_QUICK_S = 0.025  # between two questions to a server that starts
_LATE = 0.05  # of its start, at most, until it is known that it has ended
_HUNG_FACTOR = 10  # as many rounds of failed readiness make a server count as hung
_KILL_WAIT_S = 10.0  # SIGKILL takes effect at once unless the process hangs in the kernel

REPLICA_ENV = "TOWPATH_REPLICA"
HOME_ENV = "TOWPATH_REPLICA_HOME"
PATH = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
"""Where model servers find programs."""


@dataclass(frozen=True)
class Place:
    """Where a replica lives: its folder, and the one of its socket."""

    folder: Path
    sockets: Path

    @property
    def socket(self) -> Path:
        """Where it listens, or the relay before it."""
        return self.sockets / "s.sock"

    @property
    def log(self) -> Path:
        """The file that the server writes to."""
        return self.folder / "log"


@dataclass(frozen=True)
class _Failure:
    reason: str
    message: str


@dataclass(frozen=True)
class Machine:
    """What all keepers of a machine share."""

    limits: Limits
    isolator: Isolator
    gpus: Gpus
    changed: Callable[[str], None]
    """Hears of every change, by the replica's id."""


class Keeper:
    """The one owner of a replica's process."""

    def __init__(
        self,
        spec: ReplicaSpec,
        place: Place,
        machine: Machine,
        *,
        adopted: tuple[Process, state.Running] | None = None,
    ) -> None:
        self.spec = spec
        self._place = place
        self._machine = machine
        self._limits = machine.limits
        self._backoff = machine.limits.backoff
        self._log = logs.Log(place.log, max_bytes=machine.limits.log_bytes)
        self._started: Started | None = None
        self._gpus: tuple[str, ...] = ()
        self._address: str | None = None
        self._state = State.STARTING
        self._restarts = 0
        self._crashes = 0
        self._failure: _Failure | None = None
        self._retry_at: float | None = None
        self._ready_since: float | None = None
        self._load_ms: int | None = None
        if adopted is not None:
            process, found = adopted
            self._started = Started(process, found.isolation, found.groups)
            self._gpus = found.gpus
            self._address, self._restarts = found.address, found.restarts
            if found.ready:
                self._state, self._ready_since = State.READY, _monotonic()
        self._task = asyncio.create_task(self._run(), name=f"replica {spec.id}")

    @property
    def _process(self) -> Process | None:
        return self._started.process if self._started else None

    @property
    def alive(self) -> bool:
        """Tell whether the task that keeps the replica runs."""
        return not self._task.done()

    def observe(self) -> Observation:
        """Tell how the replica is now."""
        retry = None if self._retry_at is None else max(0.0, self._retry_at - _monotonic())
        failure = self._failure
        return Observation(
            id=self.spec.id,
            state=self._state,
            address=self._address,
            pid=self._process.pid if self._process else None,
            restarts=self._restarts,
            crashes=self._crashes,
            reason=failure.reason if failure else None,
            message=failure.message if failure else None,
            retry_in_s=retry,
            load_ms=self._load_ms,
            gpus=self._gpus,
            isolation=self._started.measures if self._started else (),
        )

    async def stop(self, grace_s: float) -> None:
        """End the process: asked first, and killed when it has not gone after its time."""
        self._enter(State.STOPPING)
        await self._cancel()
        if self._started is not None:
            await end(self._started, grace_s)
            self._started = None
        self._machine.gpus.release(self.spec.id)
        self._place.socket.unlink(missing_ok=True)
        state.forget(self._place.folder)

    async def detach(self) -> None:
        """Leave the process running for the next control plane to adopt."""
        await self._cancel()
        if self._process is not None:
            self._process.close()

    async def _cancel(self) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _run(self) -> None:
        while True:
            if self._process is None:
                await self._pause()
                failure = await self._launch()
            else:
                failure = None
            if failure is None:
                failure = await self._accompany()
            await self._note(failure)

    async def _pause(self) -> None:
        delay = self._backoff.delay_s(self._crashes)
        if delay > 0:
            self._retry_at = _monotonic() + delay
            self._enter(State.BACKOFF)
            await asyncio.sleep(delay)
            self._retry_at = None

    async def _launch(self) -> _Failure | None:
        refusal = self._machine.isolator.refusal
        if refusal is not None:
            return _Failure("CannotIsolate", refusal)
        try:
            self._gpus = self._machine.gpus.assign(
                self.spec.id, self.spec.gpus, gpu_class=self.spec.gpu_class
            )
            self._started, self._address = await self._start()
            self._remember(ready=False)
        except NoGpu as error:
            return _Failure("NoGpuFree", f"The model server cannot be started: {error}.")
        except (OSError, CannotStart) as error:
            return _Failure("CannotStart", f"The model server cannot be started: {error}")
        pid = self._started.process.pid
        log.info("replica.started", replica=self.spec.id, pid=pid, gpus=len(self._gpus))
        self._enter(State.STARTING)
        return None

    async def _start(self) -> tuple[Started, str]:
        place, spec = self._place, self.spec
        home = place.folder / "home"
        home.mkdir(parents=True, exist_ok=True)
        place.sockets.mkdir(parents=True, exist_ok=True, mode=0o700)
        place.socket.unlink(missing_ok=True)
        relayed = self._machine.isolator.relayed(spec)
        listen, address = self._listen()
        named = [part.replace("{socket}", str(place.socket)) for part in spec.command]
        port = listen.rpartition(":")[2]
        command = [part.replace("{listen}", listen).replace("{port}", port) for part in named]
        if relayed:
            address = f"unix:{place.socket}"
            command = isolation.through_relay(command, place.socket, int(port))
        mark = {
            "LANG": "C.UTF-8",
            REPLICA_ENV: spec.id,
            HOME_ENV: str(place.folder.parent),
        }
        order = Order(
            spec=spec,
            command=command,
            env={**self._env(home), **mark},
            home=home,
            sockets=place.sockets,
            log=place.log,
            devices=self._machine.gpus.files(self._gpus),
        )
        return await self._machine.isolator.start(order), address

    def _listen(self) -> tuple[str, str]:
        if self.spec.listen is Listen.UNIX:
            address = f"unix:{self._place.socket}"
            return address, address
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        return f"127.0.0.1:{port}", f"http://127.0.0.1:{port}"

    def _env(self, home: Path) -> dict[str, str]:
        # Nothing of this process's own environment: it holds the organisation's secrets.
        threads = str(self.spec.threads)
        return {
            "PATH": PATH,
            "HOME": str(home),
            "OMP_NUM_THREADS": threads,
            "TOWPATH_THREADS": threads,
            **self.spec.env,
            **(environment(self._gpus) if self._machine.gpus.devices else {}),
            "TOWPATH_REPLICA_SECRET": self.spec.secret.reveal(),
        }

    async def _accompany(self) -> _Failure:
        """Watch a running process until it has failed."""
        started, address = self._started, self._address
        if started is None or address is None:
            raise RuntimeError("there is no process to watch")
        process = started.process
        refusals = 0
        began = _monotonic()
        first = True
        while True:
            ready = self._state is State.READY
            asked = self.spec.readiness if self._was_ready else self.spec.startup
            if await process.wait(0 if first else self._pause_s(asked.period_s, began)):
                if cgroups.killed_for_memory(started.groups):
                    return _Failure("MemoryLimit", self._memory_message())
                return _Failure("Crashed", self._last_words(process.ended()))
            first = False
            with contextlib.suppress(OSError):  # a full disk: the next round tries again
                self._log.look(int(time.time() * 1000))
            if self._over_memory(started):
                await end(started, 0)
                return _Failure("MemoryLimit", self._memory_message())
            if await probe.healthy(address, asked.path, timeout_s=asked.timeout_s):
                refusals = 0
                self._is_ready(fresh=not ready, began=began)
                continue
            refusals += 1
            within = asked.failures * asked.period_s
            if not self._was_ready and _monotonic() - began >= within:
                await end(started, 0)
                words = f"it did not become healthy within {within:g} s"
                return _Failure("StartupTimeout", self._last_words(words))
            if self._was_ready and refusals >= asked.failures:
                if refusals >= asked.failures * _HUNG_FACTOR:
                    await end(started, 0)
                    return _Failure("Unresponsive", self._last_words("it stopped answering"))
                self._failure = _Failure("NotResponding", "It fails its readiness probe.")
                self._enter(State.UNREADY)

    @property
    def _was_ready(self) -> bool:
        return self._ready_since is not None

    def _pause_s(self, period_s: float, began: float) -> float:
        """Return when to ask again: what has just loaded is not kept waiting for a whole period."""
        if self._was_ready:
            return period_s
        return min(period_s, max(_QUICK_S, (_monotonic() - began) * _LATE))

    def _is_ready(self, *, fresh: bool, began: float) -> None:
        now = _monotonic()
        if self._ready_since is None:
            self._ready_since = now
            self._load_ms = round((now - began) * 1000)
        if now - self._ready_since >= self._backoff.stable_s:
            self._crashes = 0
        if fresh:
            self._failure = None
            with contextlib.suppress(OSError):  # adoption would only look at it once more
                self._remember(ready=True)
            self._enter(State.READY)

    async def _note(self, failure: _Failure) -> None:
        since = self._ready_since
        if since is not None and _monotonic() - since >= self._backoff.stable_s:
            self._crashes = 0
        if self._started is not None:
            self._started.process.close()
            await asyncio.to_thread(cgroups.remove, self._started.groups)
        self._started = self._address = self._ready_since = self._load_ms = None
        self._crashes += 1
        self._restarts += 1
        self._failure = failure
        state.forget(self._place.folder)
        log.warning("replica.failed", replica=self.spec.id, reason=failure.reason)
        self._enter(State.BACKOFF)

    def _remember(self, *, ready: bool) -> None:
        if self._started is None or self._address is None:
            return
        state.save(
            self._place.folder,
            state.Running(
                id=self.spec.id,
                pid=self._started.process.pid,
                started=self._started.process.started,
                address=self._address,
                fingerprint=self.spec.fingerprint,
                ready=ready,
                restarts=self._restarts,
                isolation=self._started.measures,
                groups=self._started.groups,
                gpus=self._gpus,
            ),
        )

    def _over_memory(self, started: Started) -> bool:
        limit = self.spec.memory_limit_bytes
        if limit is None or started.groups:  # the kernel watches, without being asked
            return False
        return started.process.resident_bytes() > limit

    def _memory_message(self) -> str:
        mebibytes = (self.spec.memory_limit_bytes or 0) >> 20
        return f"The model server used more than its limit of {mebibytes} MiB of memory."

    def _last_words(self, what: str) -> str:
        lines = "\n".join(logs.tail(self._place.log, _TAIL_LINES))
        said = f"; its last lines:\n{lines}" if lines else "; it wrote nothing to its log."
        return f"The model server failed: {what}{said}"[:_MESSAGE_CHARS]

    def _enter(self, new: State) -> None:
        self._state = new
        self._machine.changed(self.spec.id)


async def end(started: Started, grace_s: float) -> None:
    """End a process in order, with all that it started, and let go of it."""
    process = started.process
    if grace_s > 0:
        process.terminate()
        gone = await process.wait(grace_s)
    else:
        gone = False
    if not gone:
        process.kill()
        await process.wait(_KILL_WAIT_S)
    process.close()
    if started.groups:
        await asyncio.to_thread(cgroups.remove, started.groups)


def remove(place: Place) -> None:
    """Delete what a stopped replica left."""
    for folder in (place.sockets, place.folder):
        shutil.rmtree(folder, ignore_errors=True)


def _monotonic() -> float:
    return asyncio.get_running_loop().time()
