"""One build takes the place of another: what is said before, what is handed on, who accepts when."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from towpath_server.core import build
from towpath_server.supervisor.child import Child, Gate, Handed, Part
from towpath_server.supervisor.succession import handover, replace, report, upgrade

# Says `ready` at once, `leaving` at SIGUSR1, and ends at SIGTERM or a moment after it left.
GATEWAY = """
import os, signal, sys
fd = int(sys.argv[sys.argv.index("--announce-fd") + 1])
def say(event): os.write(fd, b'{"event": "%s"}\\n' % event)
def leave(*_): say(b"leaving"); os._exit(0)
signal.signal(signal.SIGUSR1, leave)
say(b"ready")
if "--standby-fd" in sys.argv:
    os.read(int(sys.argv[sys.argv.index("--standby-fd") + 1]), 1)
    say(b"accepting")
while True: signal.pause()
"""
BROKEN = "import sys; print('the disk is gone', file=sys.stderr); sys.exit(1)"


def part(tmp_path: Path, code: str) -> Part:
    return Part(
        name="gateway",
        command=[sys.executable, "-c", code],
        environment={"PATH": os.defpath},
        descriptors=(),
        log=tmp_path / "gateway.log",
        pid_file=tmp_path / "gateway.pid",
        announces=True,
    )


def told(**fields: Any) -> dict[str, Any]:
    control = {"version": "1", "build": "a", "runtimes": {"onnx 1": "x"}}
    gateway = {"version": "1", "build": "b", "table": 1, "journal": 2, "records": 1}
    return {"control": control, "gateway": gateway, "migrations": [], "models": []} | fields


def compared(then: dict[str, Any]) -> report.Report:
    return report.write(told(), then, data=Path("/data"), start_s=1.5)


def test_the_same_build_can_always_be_taken_and_leads_back() -> None:
    written = compared(told())

    assert (written["possible"], written["can_go_back"], written["problems"]) == (True, True, [])


@pytest.mark.parametrize("name", report.FORMATS)
def test_builds_that_read_other_formats_do_not_run_beside_each_other(name: str) -> None:
    written = compared(told(gateway=told()["gateway"] | {name: 9}))

    assert not written["possible"]
    assert "has format 9" in written["problems"][0]["what"]
    assert "stop `towpath up`" in written["problems"][0]["fix"]


def test_a_build_without_a_gateway_is_refused_with_the_fix() -> None:
    written = compared(told(gateway=None))

    assert not written["possible"]
    assert "TOWPATH_GATEWAY_BIN" in written["problems"][0]["fix"]


def test_after_a_migration_there_is_no_way_back() -> None:
    migration = {"database": "main", "revision": "0042_more", "name": "more"}

    assert not compared(told(migrations=[migration]))["can_go_back"]


def test_a_model_whose_runtime_starts_in_another_way_is_named() -> None:
    models = [{"name": "mood", "runtime": "onnx 1"}, {"name": "chat", "runtime": "vllm 2"}]
    control = told()["control"]
    same = compared(told(models=models[:1]))
    now = told(control=control | {"runtimes": {"onnx 1": "y", "vllm 2": "z"}})
    other = report.write(now, told(models=models), data=Path("/data"), start_s=None)

    assert same["models"] == {"known": True, "kept": ["mood"], "restarted": []}
    assert [one["name"] for one in other["models"]["restarted"]] == ["mood", "chat"]
    assert "is not there" in other["models"]["restarted"][1]["why"]


def test_what_is_handed_on_is_read_by_the_next_image() -> None:
    reading, writing = os.pipe()
    state = handover.State(
        arguments=["--port", "0"],
        sockets={"door": writing},
        client=writing,
        control=Handed(1, None, 0, {"ready": {"took_s": 1}}),
        gateway=None,
        leaving=[Handed(2, 7, 3, {})],
        control_command=["python"],
        models=["mood"],
    )
    memory = handover.remember(state)

    assert handover.read(memory) == state
    assert not os.get_inheritable(writing)
    for descriptor in (reading, writing):
        os.close(descriptor)


def test_where_no_platform_runs_there_is_nothing_to_upgrade(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    status = upgrade(["--check", "--data", str(tmp_path)])
    said = capsys.readouterr().err

    assert status == 1
    assert f"no `towpath up` runs on `{tmp_path}`" in said
    assert "towpath upgrade --data DIR" in said


def test_a_digest_changes_with_every_file_that_runs(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text("x = 1")
    first = build.stamp(tmp_path)
    (tmp_path / "one.pyc").write_text("no source")
    same = build.stamp(tmp_path)
    (tmp_path / "one.py").write_text("x = 2")

    assert (first == same, first == build.stamp(tmp_path)) == (True, False)


async def test_a_gateway_accepts_only_once_the_one_before_has_left(tmp_path: Path) -> None:
    old = Child(part(tmp_path, GATEWAY))
    made: list[Child] = []
    async with asyncio.TaskGroup() as group:
        group.create_task(old.run())
        await old.ready.wait()

        def make(given: Part, gate: Gate) -> Child:
            child = Child(given, gate=gate)
            group.create_task(child.run())
            made.append(child)
            return child

        beside = Part(**part(tmp_path, GATEWAY).__dict__ | {"pid_file": tmp_path / "next.pid"})
        new = await replace.gateway(old, beside, make, run=tmp_path)
        await old.gone.wait()
        noted = json.loads((tmp_path / "gateway.pid").read_text())["pid"]
        await new.stop(within_s=5)

    assert old.leaving.is_set()
    assert (made, noted) == ([new], noted)
    assert not (tmp_path / "next.pid").exists()


async def test_a_gateway_that_cannot_start_leaves_the_one_before_as_it_was(tmp_path: Path) -> None:
    old = Child(part(tmp_path, GATEWAY))
    async with asyncio.TaskGroup() as group:
        group.create_task(old.run())
        await old.ready.wait()

        def make(given: Part, gate: Gate) -> Child:
            child = Child(given, gate=gate)
            group.create_task(child.run())
            return child

        with pytest.raises(replace.NotReplaced, match="the disk is gone"):
            await replace.gateway(old, part(tmp_path, BROKEN), make, run=tmp_path)
        still = old.pid
        await old.stop(within_s=5)

    assert still is not None
    assert not old.leaving.is_set()


async def test_a_part_that_was_handed_on_is_watched_and_replaced_when_it_dies(
    tmp_path: Path,
) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "import time; time.sleep(60)"
    )
    ended = asyncio.Event()
    child = Child(
        part(tmp_path, GATEWAY),
        handed=Handed(process.pid, None, 0, {}),
        ended=lambda *_: ended.set(),
    )
    async with asyncio.TaskGroup() as group:
        group.create_task(child.run())
        await child.ready.wait()
        adopted = child.pid
        os.kill(process.pid, signal.SIGKILL)
        await ended.wait()
        while child.pid in {None, adopted}:  # noqa: ASYNC110 (of the operating system)
            await asyncio.sleep(0.01)
        await child.stop(within_s=5)

    assert adopted == process.pid
