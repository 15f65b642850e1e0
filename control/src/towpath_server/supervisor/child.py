"""One part of the platform: started, watched, replaced when it dies."""

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from towpath_server.supervisor import folder, output

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


class Child:
    """Keeps one part running until told to stop."""

    def __init__(
        self,
        part: Part,
        *,
        is_ready: Callable[[], Awaitable[bool]] | None = None,
        announced: Callable[[Announcement], None] | None = None,
        ended: Callable[["Child", int, float], None] | None = None,
    ) -> None:
        self.part = part
        self.ready = asyncio.Event()
        self.failed: str | None = None
        """The last lines of a part that ended by saying that it cannot be started."""
        self.deaths_before_ready = 0
        self._is_ready = is_ready
        self._announced = announced
        self._ended = ended
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()
        self._gone = asyncio.Event()
        self._log_start = 0

    async def run(self) -> None:
        """Start the part, and again whenever it ends, until `stop`."""
        backoff_s = 0.0
        while not self._stopping.is_set():
            started = time.monotonic()
            code = await self._once()
            if self._stopping.is_set():
                break
            if self.ready.is_set():
                backoff_s = 0.0
            else:
                self.deaths_before_ready += 1
                backoff_s = min(max(FIRST_BACKOFF_S, backoff_s * 2), MAX_BACKOFF_S)
                if code == EXIT_NOT_STARTABLE:
                    self.failed = "\n".join(self.last_lines()) or "it gave no reason"
            self.ready.clear()
            if self._ended:
                self._ended(self, code, time.monotonic() - started)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(backoff_s):
                    await self._stopping.wait()
        self._gone.set()

    async def stop(self, *, within_s: float) -> None:
        """Ask the part to drain and end; kill it when it does not in time."""
        self._stopping.set()
        self.signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(within_s):
                await self._gone.wait()
        except TimeoutError:
            self.signal(signal.SIGKILL)
            await self._gone.wait()

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
        try:
            process, announcements = await self._start()
        except OSError as error:
            # The program is gone, or there is neither memory nor disk for it: as if it had died.
            self._complain(error)
            return _NOT_STARTED
        self._process = process
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
        self.part.pid_file.unlink(missing_ok=True)
        return code

    async def _start(self) -> tuple[asyncio.subprocess.Process, BinaryIO | None]:
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
                if said.get("event") == "ready":
                    self.ready.set()
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
