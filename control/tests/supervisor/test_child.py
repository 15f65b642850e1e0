"""A part is kept running: replaced at once when it was ready, with backoff when it never was."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from towpath_server.supervisor.child import EXIT_NOT_STARTABLE, Child, Part

READY_AND_WAIT = """
import os, sys, signal
fd = int(sys.argv[sys.argv.index("--announce-fd") + 1])
os.write(fd, b'{"event": "ready"}\\n')
signal.pause()
"""
DIE = "import sys; print('no such thing', file=sys.stderr); sys.exit(%d)"


def part(tmp_path: Path, code: str, *, announces: bool = False) -> Part:
    return Part(
        name="part",
        command=[sys.executable, "-c", code],
        environment={"PATH": os.defpath},
        descriptors=(),
        log=tmp_path / "part.log",
        pid_file=tmp_path / "part.pid",
        announces=announces,
    )


class Watcher:
    """Records what a child reports, and lets a test wait for it."""

    def __init__(self) -> None:
        self.ends: list[int] = []
        self.said: list[dict[str, object]] = []
        self._news = asyncio.Condition()
        self._waiting: list[asyncio.Future[None]] = []

    def ended(self, _child: Child, code: int, _ran_s: float) -> None:
        self.ends.append(code)
        self._wake()

    def announced(self, said: dict[str, object]) -> None:
        self.said.append(said)
        self._wake()

    def _wake(self) -> None:
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)
        self._waiting.clear()

    async def until(self, done) -> None:
        while not done():
            news = asyncio.get_running_loop().create_future()
            self._waiting.append(news)
            await news


async def test_a_part_that_was_ready_is_replaced_as_soon_as_it_is_killed(tmp_path):
    watcher = Watcher()
    child = Child(
        part(tmp_path, READY_AND_WAIT, announces=True),
        announced=watcher.announced,
        ended=watcher.ended,
    )
    async with asyncio.TaskGroup() as group:
        group.create_task(child.run())
        await child.ready.wait()
        first = json.loads(child.part.pid_file.read_text())["pid"]
        os.kill(first, signal.SIGKILL)
        await watcher.until(lambda: len(watcher.said) == 2)
        second = json.loads(child.part.pid_file.read_text())["pid"]
        await child.stop(within_s=5)

    assert watcher.ends == [-signal.SIGKILL]
    assert second != first
    assert child.deaths_before_ready == 0


async def test_a_part_that_ignores_the_request_to_end_is_killed(tmp_path):
    stubborn = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" + READY_AND_WAIT
    child = Child(part(tmp_path, stubborn, announces=True))
    async with asyncio.TaskGroup() as group:
        group.create_task(child.run())
        await child.ready.wait()
        await child.stop(within_s=0.1)

    assert not child.part.pid_file.exists()


async def test_a_part_that_dies_before_it_is_ready_is_tried_again_later(tmp_path):
    watcher = Watcher()
    child = Child(part(tmp_path, DIE % 3, announces=True), ended=watcher.ended)
    async with asyncio.TaskGroup() as group:
        group.create_task(child.run())
        await watcher.until(lambda: len(watcher.ends) == 2)
        await child.stop(within_s=5)

    assert watcher.ends[:2] == [3, 3]
    assert child.deaths_before_ready >= 2
    assert child.last_lines() == ["no such thing"]
    assert child.failed is None


async def test_a_part_that_says_it_cannot_be_started_is_reported_with_its_words(tmp_path):
    watcher = Watcher()
    child = Child(part(tmp_path, DIE % EXIT_NOT_STARTABLE), ended=watcher.ended)
    async with asyncio.TaskGroup() as group:
        group.create_task(child.run())
        await watcher.until(lambda: watcher.ends)
        await child.stop(within_s=5)

    assert child.failed == "no such thing"


async def test_a_program_that_is_not_there_counts_as_a_death(tmp_path):
    watcher = Watcher()
    missing = part(tmp_path, "")
    child = Child(
        Part(**{**missing.__dict__, "command": [str(tmp_path / "nothing")]}), ended=watcher.ended
    )
    async with asyncio.TaskGroup() as group:
        group.create_task(child.run())
        await watcher.until(lambda: watcher.ends)
        await child.stop(within_s=5)

    assert watcher.ends[0] == 127
    assert "cannot be started" in child.part.log.read_text()


async def test_what_a_part_announces_before_it_dies_is_not_lost(tmp_path):
    dying = 'import os,sys; os.write(int(sys.argv[-1]), b\'{"event": "failed"}\\n\'); os._exit(1)'
    watcher = Watcher()
    child = Child(
        part(tmp_path, dying, announces=True), announced=watcher.announced, ended=watcher.ended
    )
    async with asyncio.TaskGroup() as group:
        group.create_task(child.run())
        await watcher.until(lambda: watcher.ends)
        await child.stop(within_s=5)

    assert watcher.said[0] == {"event": "failed"}


@pytest.mark.parametrize("line", [b"not json\n", b"[]\n"])
async def test_a_broken_announcement_is_left_aside(tmp_path, line):
    code = f"import os,sys; os.write(int(sys.argv[-1]), {line!r});" + READY_AND_WAIT
    child = Child(part(tmp_path, code, announces=True))
    async with asyncio.TaskGroup() as group:
        group.create_task(child.run())
        await child.ready.wait()
        await child.stop(within_s=5)

    assert child.deaths_before_ready == 0
