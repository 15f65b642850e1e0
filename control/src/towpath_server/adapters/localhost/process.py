"""
A process by pid and start time: started here, or found again after a restart of this program.

The pair identifies a process for good, while a pid alone may be given to another one. Model servers
lead a session of their own: a signal to this program's terminal or group never reaches them.
"""

import asyncio
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

import psutil

_POLL_S = 0.2  # where the system cannot tell of an exit by itself
_START_FIELD = 19  # of /proc/PID/stat after the name: `starttime`, in ticks since boot


class Process:
    """One running process of this machine, the leader of its own session."""

    def __init__(self, pid: int, started: str) -> None:
        self.pid = pid
        self.started = started
        self._gone = asyncio.Event()
        self._status: int | None = None
        self._pidfd = _pidfd(pid)
        if self._pidfd is not None:
            asyncio.get_running_loop().add_reader(self._pidfd, self._gone.set)

    @classmethod
    def spawn(
        cls, command: Sequence[str], *, env: Mapping[str, str], folder: Path, log: Path
    ) -> Self:
        """
        Start a program in a session of its own, writing to `log`.

        Raises:
            OSError: The program is not there, or the machine has no room for it.
        """
        with log.open("ab") as output:
            child = subprocess.Popen(  # noqa: S603 (the command is a runtime description's)
                list(command),
                env=dict(env),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        # From here on the pid is what counts: this program may be gone long before its child.
        child.returncode = 0
        return cls.of_child(child.pid)

    @classmethod
    def of_child(cls, pid: int) -> Self:
        """Take over a child of this program that was started elsewhere."""
        return cls(pid, start_of(pid) or "")

    @classmethod
    def find(cls, pid: int, started: str) -> Self | None:
        """Return the process if it is still the one that had this start time."""
        if start_of(pid) != started:
            return None
        process = cls(pid, started)
        if start_of(pid) != started:  # it ended, and the pid went on, in between
            process.close()
            return None
        return process

    async def wait(self, timeout_s: float) -> bool:
        """Wait for the end, at most this long; tell whether it has come."""
        try:
            async with asyncio.timeout(timeout_s):
                if self._pidfd is not None:
                    await self._gone.wait()
                else:
                    while start_of(self.pid) == self.started:  # noqa: ASYNC110
                        await asyncio.sleep(_POLL_S)
        except TimeoutError:
            return False
        self._reap()
        return True

    def terminate(self) -> None:
        """Ask the process to end."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End the process and all it started, at once."""
        self._signal(signal.SIGKILL)

    def ended(self) -> str:
        """Say how it ended, as far as the system tells."""
        if self._status is None:
            return "it ended"
        if os.WIFSIGNALED(self._status):
            number = os.WTERMSIG(self._status)
            return f"killed by {signal.Signals(number).name}"
        return f"exit code {os.WEXITSTATUS(self._status)}"

    def close(self) -> None:
        """Stop watching; the process itself goes on."""
        if self._pidfd is not None:
            asyncio.get_running_loop().remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = None

    def resident_bytes(self) -> int:
        """Return the memory that it and its children hold."""
        try:
            root = psutil.Process(self.pid)
            return sum(p.memory_info().rss for p in (root, *root.children(recursive=True)))
        except psutil.Error:
            return 0

    def _reap(self) -> None:
        if self._status is not None:
            return
        # Its helpers must not outlive it. As long as it is not reaped its number is not reused.
        self._signal(signal.SIGKILL)
        try:
            reaped, status = os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:  # adopted: another process is its parent
            return
        if reaped == self.pid:
            self._status = status

    def _signal(self, number: signal.Signals) -> None:
        try:
            if number is signal.SIGKILL and os.getpgid(self.pid) == self.pid:
                os.killpg(self.pid, number)
            elif start_of(self.pid) == self.started:
                os.kill(self.pid, number)
        except (ProcessLookupError, PermissionError):
            return  # it is gone, or the number belongs to somebody else by now


def start_of(pid: int) -> str | None:
    """Return when the process started, in a form that no other process of this pid can have."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return _portable_start_of(pid)
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else f"{boot}:{fields[_START_FIELD]}"


def _portable_start_of(pid: int) -> str | None:
    try:
        process = psutil.Process(pid)
        gone = process.status() in {psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD}
        return None if gone else f"{process.create_time():.2f}"
    except psutil.Error:
        return None


def _pidfd(pid: int) -> int | None:
    if not hasattr(os, "pidfd_open"):
        return None
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None
