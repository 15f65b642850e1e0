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
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from towpath_server.adapters.localhost import logs, probe, state
from towpath_server.adapters.localhost.process import Process
from towpath_server.adapters.localhost.spec import (
    Limits,
    Listen,
    Observation,
    ReplicaSpec,
    State,
)
from towpath_server.core import log as logging

log = logging.get(__name__)

_TAIL_LINES = 12  # what of the log goes into a condition's message
_MESSAGE_CHARS = 2_000  # a condition is read by people
_HUNG_FACTOR = 10  # as many rounds of failed readiness make a server count as hung
_KILL_WAIT_S = 10.0  # SIGKILL takes effect at once unless the process hangs in the kernel

REPLICA_ENV = "TOWPATH_REPLICA"
HOME_ENV = "TOWPATH_REPLICA_HOME"


@dataclass(frozen=True)
class Place:
    """Where a replica lives: its folder, and its socket."""

    folder: Path
    socket: Path

    @property
    def log(self) -> Path:
        """The file that the server writes to."""
        return self.folder / "log"


@dataclass(frozen=True)
class _Failure:
    reason: str
    message: str


class Keeper:
    """The one owner of a replica's process."""

    def __init__(
        self,
        spec: ReplicaSpec,
        place: Place,
        limits: Limits,
        *,
        changed: Callable[[str], None],
        adopted: tuple[Process, state.Running] | None = None,
    ) -> None:
        self.spec = spec
        self._place = place
        self._limits = limits
        self._backoff = limits.backoff
        self._changed = changed
        self._process: Process | None = None
        self._address: str | None = None
        self._state = State.STARTING
        self._restarts = 0
        self._crashes = 0
        self._failure: _Failure | None = None
        self._retry_at: float | None = None
        self._ready_since: float | None = None
        if adopted is not None:
            self._process, found = adopted
            self._address, self._restarts = found.address, found.restarts
            if found.ready:
                self._state, self._ready_since = State.READY, _monotonic()
        self._task = asyncio.create_task(self._run(), name=f"replica {spec.id}")

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
        )

    async def stop(self, grace_s: float) -> None:
        """End the process: asked first, and killed when it has not gone after its time."""
        self._enter(State.STOPPING)
        await self._cancel()
        if self._process is not None:
            await end(self._process, grace_s)
            self._process = None
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
                failure = self._launch()
            else:
                failure = None
            if failure is None:
                failure = await self._accompany()
            self._note(failure)

    async def _pause(self) -> None:
        delay = self._backoff.delay_s(self._crashes)
        if delay > 0:
            self._retry_at = _monotonic() + delay
            self._enter(State.BACKOFF)
            await asyncio.sleep(delay)
            self._retry_at = None

    def _launch(self) -> _Failure | None:
        folder = self._place.folder
        try:
            folder.mkdir(parents=True, exist_ok=True)
            home = folder / "home"
            home.mkdir(exist_ok=True)
            self._place.socket.unlink(missing_ok=True)
            listen, address = self._listen()
            command = [part.replace("{listen}", listen) for part in self.spec.command]
            self._process = Process.spawn(
                command, env=self._env(home), folder=home, log=self._place.log
            )
            self._address = address
            self._remember(ready=False)
        except OSError as error:
            return _Failure("CannotStart", f"The model server cannot be started: {error}")
        log.info("replica.started", replica=self.spec.id, pid=self._process.pid)
        self._enter(State.STARTING)
        return None

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
            "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
            "HOME": str(home),
            "LANG": "C.UTF-8",
            "OMP_NUM_THREADS": threads,
            "TOWPATH_THREADS": threads,
            **self.spec.env,
            "TOWPATH_REPLICA_SECRET": self.spec.secret.reveal(),
            REPLICA_ENV: self.spec.id,
            HOME_ENV: str(self._place.folder.parent),
        }

    async def _accompany(self) -> _Failure:
        """Watch a running process until it has failed."""
        process, address = self._process, self._address
        if process is None or address is None:
            raise RuntimeError("there is no process to watch")
        refusals = 0
        first = True
        while True:
            ready = self._state is State.READY
            asked = self.spec.readiness if self._was_ready else self.spec.startup
            if await process.wait(0 if first else asked.period_s):
                return _Failure("Crashed", self._last_words(process.ended()))
            first = False
            with contextlib.suppress(OSError):  # a full disk: the next round tries again
                logs.bound(self._place.log, max_bytes=self._limits.log_bytes)
            if self._over_memory(process):
                await end(process, 0)
                return _Failure("MemoryLimit", self._memory_message())
            if await probe.healthy(address, asked.path, timeout_s=asked.timeout_s):
                refusals = 0
                self._is_ready(fresh=not ready)
                continue
            refusals += 1
            if not self._was_ready and refusals >= asked.failures:
                await end(process, 0)
                within = asked.failures * asked.period_s
                words = f"it did not become healthy within {within:g} s"
                return _Failure("StartupTimeout", self._last_words(words))
            if self._was_ready and refusals >= asked.failures:
                if refusals >= asked.failures * _HUNG_FACTOR:
                    await end(process, 0)
                    return _Failure("Unresponsive", self._last_words("it stopped answering"))
                self._failure = _Failure("NotResponding", "It fails its readiness probe.")
                self._enter(State.UNREADY)

    @property
    def _was_ready(self) -> bool:
        return self._ready_since is not None

    def _is_ready(self, *, fresh: bool) -> None:
        now = _monotonic()
        if self._ready_since is None:
            self._ready_since = now
        if now - self._ready_since >= self._backoff.stable_s:
            self._crashes = 0
        if fresh:
            self._failure = None
            with contextlib.suppress(OSError):  # adoption would only look at it once more
                self._remember(ready=True)
            self._enter(State.READY)

    def _note(self, failure: _Failure) -> None:
        since = self._ready_since
        if since is not None and _monotonic() - since >= self._backoff.stable_s:
            self._crashes = 0
        if self._process is not None:
            self._process.close()
        self._process = self._address = self._ready_since = None
        self._crashes += 1
        self._restarts += 1
        self._failure = failure
        state.forget(self._place.folder)
        log.warning("replica.failed", replica=self.spec.id, reason=failure.reason)
        self._enter(State.BACKOFF)

    def _remember(self, *, ready: bool) -> None:
        if self._process is None or self._address is None:
            return
        state.save(
            self._place.folder,
            state.Running(
                id=self.spec.id,
                pid=self._process.pid,
                started=self._process.started,
                address=self._address,
                fingerprint=self.spec.fingerprint,
                ready=ready,
                restarts=self._restarts,
            ),
        )

    def _over_memory(self, process: Process) -> bool:
        limit = self.spec.memory_limit_bytes
        return limit is not None and process.resident_bytes() > limit

    def _memory_message(self) -> str:
        mebibytes = (self.spec.memory_limit_bytes or 0) >> 20
        return f"The model server used more than its limit of {mebibytes} MiB of memory."

    def _last_words(self, what: str) -> str:
        lines = "\n".join(logs.tail(self._place.log, _TAIL_LINES))
        said = f"; its last lines:\n{lines}" if lines else "; it wrote nothing to its log."
        return f"The model server failed: {what}{said}"[:_MESSAGE_CHARS]

    def _enter(self, new: State) -> None:
        self._state = new
        self._changed(self.spec.id)


async def end(process: Process, grace_s: float) -> None:
    """End a process in order, and let go of it."""
    if grace_s > 0:
        process.terminate()
        gone = await process.wait(grace_s)
    else:
        gone = False
    if not gone:
        process.kill()
        await process.wait(_KILL_WAIT_S)
    process.close()


def remove(place: Place) -> None:
    """Delete what a stopped replica left."""
    place.socket.unlink(missing_ok=True)
    shutil.rmtree(place.folder, ignore_errors=True)


def _monotonic() -> float:
    return asyncio.get_running_loop().time()
