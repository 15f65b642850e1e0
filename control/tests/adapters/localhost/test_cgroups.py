"""Control groups are found and written in both versions: here on folders that look like them."""

import os
from pathlib import Path

import pytest

from towpath_server.adapters.localhost import cgroups
from towpath_server.adapters.localhost.cgroups import Bounds, Groups

BOUNDS = Bounds(memory_bytes=96 << 20, cpu_milli=500, cpu_share_milli=2_000, processes=64)


def _proc(folder: Path, mounts: str, inside: str) -> Path:
    proc = folder / "proc"
    (proc / "self").mkdir(parents=True)
    (proc / "self" / "mountinfo").write_text(mounts)
    (proc / "self" / "cgroup").write_text(inside)
    return proc


def _settings(group: Path) -> dict[str, str]:
    return {file.name: file.read_text() for file in group.iterdir() if file.read_text()}


def _touched(group: Path, *names: str) -> None:
    group.mkdir(parents=True, exist_ok=True)
    for name in names:
        (group / name).touch()


def test_version_2_gives_its_controllers_to_a_group_beside_this_program(tmp_path: Path) -> None:
    own = tmp_path / "fs" / "service"
    _touched(own, "cgroup.subtree_control")
    (own / "cgroup.controllers").write_text("cpu io memory pids\n")
    (own / "cgroup.procs").write_text(f"{os.getpid()}\n")
    _touched(own / "tag", "cgroup.procs", "cgroup.subtree_control")
    mounts = f"30 1 0:26 / {tmp_path}/fs rw - cgroup2 cgroup2 rw\n"
    proc = _proc(tmp_path, mounts, "0::/service\n")

    found = cgroups.find("tag", proc=proc)

    assert isinstance(found, Groups)
    assert found.version == 2
    assert (own / "towpath-server" / "cgroup.procs").read_text() == str(os.getpid())
    assert (own / "cgroup.subtree_control").read_text() == "+cpu +memory +pids"
    files = (
        "memory.max",
        "memory.swap.max",
        "memory.oom.group",
        "cpu.max",
        "cpu.weight",
        "pids.max",
    )
    _touched(own / "tag" / "rep_1", *files)
    assert found.make("rep_1", BOUNDS) == [str(own / "tag" / "rep_1")]
    assert _settings(own / "tag" / "rep_1") == {
        "memory.max": str(96 << 20),
        "memory.swap.max": "0",
        "memory.oom.group": "1",
        "cpu.max": "50000 100000",
        "cpu.weight": "79",
        "pids.max": "64",
    }


_NOBODY = 2**22 + 1  # beyond what the kernel gives out as the id of a process


def test_version_2_moves_no_programs_of_others(tmp_path: Path) -> None:
    own = tmp_path / "fs" / "session"
    _touched(own, "cgroup.subtree_control")
    (own / "cgroup.controllers").write_text("cpu memory pids\n")
    (own / "cgroup.procs").write_text(f"{_NOBODY}\n")
    mounts = f"30 1 0:26 / {tmp_path}/fs rw - cgroup2 cgroup2 rw\n"

    found = cgroups.find("tag", proc=_proc(tmp_path, mounts, "0::/session\n"))

    assert isinstance(found, str)
    assert "1 other programs" in found
    assert "Delegate=yes" in found


def test_version_1_has_a_group_in_each_hierarchy(tmp_path: Path) -> None:
    for name in ("cpu", "memory"):
        _touched(tmp_path / name / "own" / "tag", "cgroup.procs")
    mounts = "".join(
        f"3{number} 1 0:2{number} / {tmp_path}/{name} rw - cgroup cgroup rw,{name}\n"
        for number, name in enumerate(("cpu", "memory"))
    )
    proc = _proc(tmp_path, mounts, "2:cpu:/own\n3:memory:/own\n")

    found = cgroups.find("tag", proc=proc)

    assert isinstance(found, Groups)
    _touched(tmp_path / "memory/own/tag/rep_1", "memory.limit_in_bytes")
    _touched(tmp_path / "cpu/own/tag/rep_1", "cpu.cfs_quota_us", "cpu.cfs_period_us", "cpu.shares")
    found.make("rep_1", BOUNDS)
    assert _settings(tmp_path / "memory/own/tag/rep_1") == {"memory.limit_in_bytes": str(96 << 20)}
    assert _settings(tmp_path / "cpu/own/tag/rep_1") == {
        "cpu.cfs_quota_us": "50000",
        "cpu.cfs_period_us": "100000",
        "cpu.shares": "2048",
    }


@pytest.mark.parametrize(
    ("file", "text"),
    [("memory.events", "oom 1\noom_kill 1\n"), ("memory.oom_control", "oom_kill 2")],
)
def test_a_kill_for_memory_is_told_apart_from_others(tmp_path: Path, file: str, text: str) -> None:
    before = cgroups.killed_for_memory([str(tmp_path)])
    (tmp_path / file).write_text(text)

    assert (before, cgroups.killed_for_memory([str(tmp_path)])) == (False, True)
