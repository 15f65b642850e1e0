"""Has files examined in a child process, and survives whatever they do to it."""

import asyncio
import contextlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from towpath_server.adapters.modelfiles.examine import failed
from towpath_server.adapters.modelfiles.report import Examined
from towpath_server.core import log

_AT_ONCE = 2  # children, however many pushes come in: each may fill a core
_SECONDS = 120.0  # of one file; its CPU time has a lower bound, this is for a slow disk
_PUSH_S = 600.0  # of all files of a push: whoever sends ten thousand waits for the others
_LINE = 32 << 20  # facts of one file, at most
_MODULE = "towpath_server.adapters.modelfiles"

_log = log.get(__name__)


class Scanner:
    """Examines files, a few at once."""

    def __init__(self, *, seconds: float = _SECONDS) -> None:
        self._turn = asyncio.Semaphore(_AT_ONCE)
        self._seconds = seconds

    async def scan(self, files: Sequence[tuple[Path, str]]) -> list[Examined]:
        """
        Examine files by path and name, in order.

        A file on which the child dies, or that it is not done with in time, has the finding
        `ScanFailed`; the others are examined all the same.
        """
        found: list[Examined] = []
        async with self._turn:
            try:
                async with asyncio.timeout(_PUSH_S):
                    while len(found) < len(files):
                        await self._some(files[len(found) :], found)
            except TimeoutError:
                rest = len(files) - len(found)
                found += [failed(f"All files together took more than {_PUSH_S:g} s.")] * rest
        return found

    async def _some(self, files: Sequence[tuple[Path, str]], found: list[Examined]) -> None:
        """Examine files, adding to `found`, until all are done or one is the end of the child."""
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            "-m",
            _MODULE,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={},
            cwd="/",
            start_new_session=True,
            limit=_LINE,
        )
        if child.stdin is None or child.stdout is None:
            raise RuntimeError("the child was started with pipes")
        try:
            for path, name in files:
                one = await self._ask(child.stdin, child.stdout, path, name)
                found.append(one or failed("Reading it ended the process that read it."))
                if one is None:
                    _log.warning("scan.child_lost", file=name)
                    break
        finally:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()

    async def _ask(
        self, ask: asyncio.StreamWriter, answers: asyncio.StreamReader, path: Path, name: str
    ) -> Examined | None:
        task = json.dumps({"path": str(path), "name": name}) + "\n"
        try:
            async with asyncio.timeout(self._seconds):
                ask.write(task.encode())
                await ask.drain()
                line = await answers.readline()
            return Examined.of(json.loads(line)) if line else None
        except (TimeoutError, ConnectionError, ValueError):
            return None
