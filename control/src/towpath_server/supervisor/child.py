"""One part of the platform: started, watched, replaced when it dies."""

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, Protocol

from towpath_server.supervisor import folder, output
from towpath_server.supervisor.adopted import Adopted

# Only for what dies before it was ready: the first try again comes soon, and a part that cannot
# start costs little while somebody mends its reason.
FIRST_BACKOFF_S = 0.1
MAX_BACKOFF_S = 5.0
# What `sysexits.h` calls EX_CONFIG: the part said what is wrong, and trying again cannot help.
EXIT_NOT_STARTABLE = 78
_READY_POLL_S = 0.02  # a part is ready within tenths of a second
_NOT_STARTED = 127  # as shells report it
_ANNOUNCEMENT_BYTES = 64 * 1024


@dataclass(frozen=True)
class Part:
    """How a part is started."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    descriptors: tuple[int, ...]
    log: Path
    pid_file: Path
    announces: bool = False
    """Whether it gets `--announce-fd N`, where it writes one JSON object a line."""


Announcement = dict[str, object]


class Process(Protocol):
    """A process that runs, whoever started it."""

    pid: int

    @property
    def returncode(self) -> int | None: ...  # noqa: D102

    async def wait(self) -> int: ...  # noqa: D102

    def send_signal(self, number: int, /) -> None: ...  # noqa: D102


@dataclass(frozen=True)
class Handed:
    """A part that runs, as it is handed from one program image to the next."""

    pid: int
    announcements: int | None
    """Descriptor of the pipe that it writes to."""
    log_start: int
    said: Announcement
    """What it told of itself."""


class Gate:
    """Keeps a part that starts beside another from accepting, until it is opened or we are gone."""

    def __init__(self) -> None:
        self.reading, self._writing = os.pipe()
        self.is_open = False

    def open(self) -> None:
        """Let it accept."""
        self.is_open = True
        os.close(self._writing)

    def close(self) -> None:
        """Forget it; the part has ended."""
        if not self.is_open:
            os.close(self._writing)
        os.close(self.reading)


class Child:
    """Keeps one part running until told to stop."""

    def __init__(
        self,
        part: Part,
        *,
        is_ready: Callable[[], Awaitable[bool]] | None = None,
        announced: Callable[[Announcement], None] | None = None,
        ended: Callable[["Child", int, float], None] | None = None,
        handed: Handed | None = None,
        gate: Gate | None = None,
        last: bool = False,
    ) -> None:
        """
        Start nothing yet.

        Args:
            handed: It runs already.
            last: No other one is started when it has ended.
            gate: It starts beside another one, and is not started again before that is open.
        """
        self.part = part
        self.ready = asyncio.Event()
        self.failed: str | None = None
        """The last lines of a part that ended by saying that it cannot be started."""
        self.deaths_before_ready = 0
        self.said: Announcement = {}
        """What it told of itself since its start, by the event's name."""
        self.leaving = asyncio.Event()
        """It takes no more calls, because another one does."""
        self.gone = asyncio.Event()
        self._handed = handed
        self._gate = gate
        self._last = last
        self._replacing = False
        self._pipe: BinaryIO | None = None
        self._is_ready = is_ready
        self._announced = announced
        self._ended = ended
        self._process: Process | None = None
        self._stopping = asyncio.Event()
        self._log_start = 0
        self._started = 0.0

    async def run(self) -> None:
        """Start the part, and again whenever it ends, until `stop`."""
        backoff_s = 0.0
        while not self._stopping.is_set():
            started = time.monotonic()
            code = await self._once()
            if self._stopping.is_set() or self._last:
                break
            if self._gate is not None and not self._gate.is_open:
                self.failed = "\n".join(self.last_lines()) or "it gave no reason"
                break
            replaced, self._replacing = self._replacing, False
            if self.ready.is_set() or replaced:
                backoff_s = 0.0
            else:
                self.deaths_before_ready += 1
                backoff_s = min(max(FIRST_BACKOFF_S, backoff_s * 2), MAX_BACKOFF_S)
                if code == EXIT_NOT_STARTABLE:
                    self.failed = "\n".join(self.last_lines()) or "it gave no reason"
            self.ready.clear()
            if self._ended and not replaced:
                self._ended(self, code, time.monotonic() - started)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(backoff_s):
                    await self._stopping.wait()
        self.gone.set()

    async def stop(self, *, within_s: float) -> None:
        """Ask the part to drain and end; kill it when it does not in time."""
        self._stopping.set()
        self.signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(within_s):
                await self.gone.wait()
        except TimeoutError:
            self.signal(signal.SIGKILL)
            await self.gone.wait()

    def leave(self, number: signal.Signals) -> None:
        """Ask the part to end in its own time, and start no other in its place."""
        self._stopping.set()
        self.signal(number)

    def replace(self, part: Part, number: signal.Signals) -> None:
        """Ask the part to end, and start another one as soon as it has."""
        self.part = part
        self.failed, self.deaths_before_ready = None, 0
        self._replacing = True
        self.ready.clear()
        self.signal(number)

    def rename(self, pid_file: Path) -> None:
        """Note the part's process in another file from now on."""
        with contextlib.suppress(OSError):
            self.part.pid_file.replace(pid_file)
        self.part = replace(self.part, pid_file=pid_file)

    @property
    def pid(self) -> int | None:
        """Return the process that runs, if one does."""
        running = self._process is not None and self._process.returncode is None
        return self._process.pid if self._process and running else None

    def hand_on(self) -> Handed | None:
        """Tell what the next program image of this process must know; its pipe stays open."""
        if self.pid is None:
            return None
        if self._pipe is not None:
            os.set_inheritable(self._pipe.fileno(), True)  # noqa: FBT003
        pipe = self._pipe.fileno() if self._pipe is not None else None
        return Handed(self.pid, pipe, self._log_start, self.said)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the part, if it runs."""
        if self._process is not None and self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    def last_lines(self) -> list[str]:
        """Return the last output of the part since it was started last."""
        return output.tail(self.part.log, start=self._log_start)

    async def _once(self) -> int:
        """Run the part from start to end and return its exit status."""
        handed, self._handed = self._handed, None
        try:
            process, announcements = self._adopt(handed) if handed else await self._start()
        except OSError as error:
            # The program is gone, or there is neither memory nor disk for it: as if it had died.
            self._complain(error)
            return _NOT_STARTED
        self._process, self._pipe = process, announcements
        if self._stopping.is_set():  # `stop` came while it was being started
            self.signal(signal.SIGTERM)
        folder.record(self.part.pid_file, process.pid)
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(self._become_ready()) if self._is_ready else None
            if announcements is not None:
                group.create_task(self._listen(announcements))  # ends with the part
            code = await process.wait()
            if waiting is not None:
                waiting.cancel()
        self._pipe = None
        self.part.pid_file.unlink(missing_ok=True)
        return code

    def _adopt(self, handed: Handed) -> tuple[Process, BinaryIO | None]:
        self._log_start, self.said = handed.log_start, dict(handed.said)
        self.ready.set()
        pipe = handed.announcements
        if pipe is not None:
            os.set_inheritable(pipe, False)  # noqa: FBT003
        return Adopted(handed.pid), None if pipe is None else os.fdopen(pipe, "rb", buffering=0)

    async def _start(self) -> tuple[Process, BinaryIO | None]:
        self.said, self._started = {}, time.monotonic()
        command = list(self.part.command)
        descriptors = self.part.descriptors
        with contextlib.ExitStack() as ours:
            log = output.open_log(self.part.log)
            ours.callback(os.close, log)
            self._log_start = os.fstat(log).st_size
            announcements = None
            if self.part.announces:
                reading, writing = os.pipe()
                ours.callback(os.close, writing)
                announcements = os.fdopen(reading, "rb", buffering=0)
                command += ["--announce-fd", str(writing)]
                descriptors = (*descriptors, writing)
            if self._gate is not None and not self._gate.is_open:
                command += ["--standby-fd", str(self._gate.reading)]
                descriptors = (*descriptors, self._gate.reading)
            try:
                process = await asyncio.create_subprocess_exec(
                    *command,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=dict(self.part.environment),
                    pass_fds=descriptors,
                    start_new_session=True,
                )
            except BaseException:
                if announcements is not None:
                    announcements.close()
                raise
        return process, announcements

    def _complain(self, error: OSError) -> None:
        with contextlib.suppress(OSError), self.part.log.open("a", encoding="utf-8") as log:
            self._log_start = log.tell()
            log.write(f"`{self.part.command[0]}` cannot be started: {error}\n")

    async def _become_ready(self) -> None:
        while self._is_ready is not None:
            if await self._is_ready():
                self.ready.set()
                return
            await asyncio.sleep(_READY_POLL_S)

    async def _listen(self, pipe: BinaryIO) -> None:
        """Read what the part announces until it closes its end."""
        reader = asyncio.StreamReader(limit=_ANNOUNCEMENT_BYTES)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), pipe
        )
        try:
            async for line in reader:
                said = _announcement(line)
                match said.get("event"):
                    case "ready":
                        said["took_s"] = round(time.monotonic() - self._started, 3)
                        self.ready.set()
                    case "leaving":
                        self.leaving.set()
                self.said[str(said.get("event"))] = said
                if said and self._announced:
                    self._announced(said)
        finally:
            transport.close()


def _announcement(line: bytes) -> Announcement:
    """Read a line; what is no announcement says nothing, and must not stop the platform."""
    try:
        said = json.loads(line)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
