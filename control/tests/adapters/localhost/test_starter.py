"""Launchers that wait for their plans."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from towpath_server.adapters.localhost import starter
from towpath_server.adapters.localhost.starter import Launcher, Launchers


@pytest.fixture
def plan(tmp_path: Path) -> dict[str, Any]:
    """Say `hello` and end; no measure is asked for, so that any machine may follow it."""
    return {
        "measures": {},
        "groups": [],
        "rlimits": {},
        "folder": str(tmp_path),
        "env": {"WORD": "hello"},
        "command": ["/bin/sh", "-c", "echo $WORD"],
        "log": str(tmp_path / "log"),
    }


def ended(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def killed(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def gone(pid: int) -> bool:
    return not Path(f"/proc/{pid}").exists()


async def prepared(launchers: Launchers, monkeypatch: pytest.MonkeyPatch) -> Launcher:
    made: list[Launcher] = []

    class Noted(Launcher):
        def __init__(self) -> None:
            super().__init__()
            made.append(self)

    monkeypatch.setattr(starter, "Launcher", Noted)
    launchers.prepare()
    return made[0]


async def test_one_that_waits_follows_the_plan(
    plan: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launchers = Launchers()
    waiting = await prepared(launchers, monkeypatch)

    said = await launchers.follow(plan)
    launchers.close()

    assert said["pid"] == waiting.pid
    assert ended(waiting.pid) == 0
    assert (tmp_path / "log").read_text() == "hello\n"


async def test_one_that_died_while_it_waited_is_replaced(
    plan: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    launchers = Launchers()
    waiting = await prepared(launchers, monkeypatch)
    killed(waiting.pid)

    said = await launchers.follow(plan)
    launchers.close()

    assert said["pid"] != waiting.pid
    assert ended(said["pid"]) == 0


async def test_none_waits_once_the_machine_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    launchers = Launchers()
    waiting = await prepared(launchers, monkeypatch)

    launchers.close()

    assert gone(waiting.pid)


async def test_a_program_that_is_not_there_is_told(plan: dict[str, Any]) -> None:
    launchers = Launchers()
    plan["command"] = ["/nowhere/server"]

    said = await launchers.follow(plan)
    launchers.close()

    assert (said["failed"], said["why"]) == (
        "program",
        "/nowhere/server: No such file or directory",
    )


async def test_a_plan_longer_than_a_pipe_takes_is_followed(
    plan: dict[str, Any], tmp_path: Path
) -> None:
    launchers = Launchers()
    plan["visible"] = ["/usr" * 100] * 1_000

    said = await launchers.follow(plan)
    launchers.close()

    assert ended(said["pid"]) == 0
    assert (tmp_path / "log").read_text() == "hello\n"
