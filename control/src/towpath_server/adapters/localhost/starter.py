"""
Launchers: processes that turn themselves into model servers.

Starting Python takes longer than all that a launcher does, so that one is kept ready, waiting for
its plan. It ends by itself when this program is gone.
"""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Mapping
from typing import Any

from towpath_server.adapters.localhost import launcher

_REPORT_BYTES = 64 << 10
# Who has just been started is loading, and needs the machine more than the next one does.
_REST_S = 1.0


class Launcher:
    """A process that waits for its plan."""

    def __init__(self) -> None:
        """
        Start it.

        Raises:
            OSError: The machine has no room for it.
        """
        plan, self._plan = os.pipe()
        self._report, self._told = os.pipe()
        try:
            self._child = subprocess.Popen(  # noqa: S603 (a program of ours)
                python(launcher.__file__),
                env={},
                cwd="/",
                stdin=plan,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[self._told],
                start_new_session=True,
            )
        except OSError:
            os.close(self._plan)
            os.close(self._report)
            raise
        finally:
            os.close(plan)
            os.close(self._told)

    @property
    def pid(self) -> int:
        """Its process."""
        return self._child.pid

    @property
    def waits(self) -> bool:
        """Whether it has not ended before its time."""
        return self._child.poll() is None

    def follow(self, plan: Mapping[str, Any]) -> dict[str, Any]:
        """
        Give it its plan, and wait until it is the program, or has failed.

        Returns:
            `pid` of the program where that is another process; `failed` (a measure, or `program`)
            and `why`.
        """
        self._child.returncode = 0  # its end is waited for here, by pid
        with os.fdopen(self._plan, "wb", buffering=0) as told, contextlib.suppress(BrokenPipeError):
            text = json.dumps({**plan, "report_fd": self._told}).encode()
            while text:  # through a pipe and not by a file or an argument, since it holds a secret
                text = text[told.write(text) :]
        return self._hear()

    def end(self) -> None:
        """Let it go without a plan."""
        os.close(self._plan)
        os.close(self._report)
        self._child.wait()

    def kill(self) -> None:
        """End one that does not get on with its plan."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def _hear(self) -> dict[str, Any]:
        heard = bytearray()
        with os.fdopen(self._report, "rb", buffering=0) as report:
            while len(heard) < _REPORT_BYTES and (part := report.read(4096)):
                heard += part
        said: dict[str, Any] = {}
        for line in heard.splitlines():
            said |= json.loads(line)
        if "pid" in said or "failed" in said:
            _reap(self.pid)
        if "pid" in said and "failed" in said:
            _reap(said.pop("pid"))
        return said


class Launchers:
    """Has a launcher ready, as long as model servers are started here."""

    def __init__(self) -> None:
        self._ready: Launcher | None = None
        self._next: asyncio.TimerHandle | None = None
        self._closed = False

    def keep_ready(self) -> None:
        """Start one in advance, soon; called again it makes no second one."""
        if self._closed or self._ready is not None or self._next is not None:
            return
        self._next = asyncio.get_running_loop().call_later(_REST_S, self.prepare)

    def prepare(self) -> None:
        """Start one now."""
        self._next = None
        with contextlib.suppress(OSError):  # no room: it is tried again when one is needed
            self._ready = Launcher()

    async def follow(self, plan: Mapping[str, Any]) -> dict[str, Any]:
        """
        Have a launcher follow this plan; see `Launcher.follow`.

        Raises:
            OSError: The machine has no room for it.
        """
        chosen, self._ready = self._ready, None
        if chosen is not None and not chosen.waits:
            chosen.end()
            chosen = None
        chosen = chosen or Launcher()
        followed = asyncio.to_thread(chosen.follow, plan)
        said = await _uninterrupted(followed, chosen)
        self.keep_ready()
        return {"pid": chosen.pid, **said}

    def close(self) -> None:
        """Keep none any more."""
        self._closed = True
        if self._next is not None:
            self._next.cancel()
        if self._ready is not None:
            self._ready.end()
            self._ready = None


def python(program: str) -> list[str]:
    """Return the command that runs a program which stands alone."""
    return [sys.executable, "-I", "-S", "-B", program]


def _reap(pid: int) -> None:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)


async def _uninterrupted(following: Awaitable[dict[str, Any]], one: Launcher) -> dict[str, Any]:
    """Wait for a start to be done; whoever cancels meanwhile finds no process left."""
    task = asyncio.ensure_future(following)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        said = await task
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(said.get("pid", one.pid)), signal.SIGKILL)
        raise
