"""A child process that this process started before it became another program (`execve`)."""

import asyncio
import contextlib
import os

# As shells report what nobody knows the end of: whoever waited for it before has it.
_UNKNOWN = 255


class Adopted:
    """What `asyncio.subprocess.Process` is for a process that it started itself."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None

    async def wait(self) -> int:
        """Wait until it ends and return its exit status; negative, the signal that ended it."""
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                await self._ended()
            self.returncode = self._reap()
        return self.returncode

    def send_signal(self, number: int) -> None:
        """
        Send it a signal.

        Raises:
            ProcessLookupError: It is gone.
        """
        os.kill(self.pid, number)

    async def _ended(self) -> None:
        descriptor = os.pidfd_open(self.pid)
        ended, loop = asyncio.Event(), asyncio.get_running_loop()
        loop.add_reader(descriptor, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)

    def _reap(self) -> int:
        try:
            _, status = os.waitpid(self.pid, 0)
        except ChildProcessError:
            return _UNKNOWN
        return os.waitstatus_to_exitcode(status)
