"""
Limits of memory, CPU and processes by control groups, version 1 or 2, where they may be written.

Each replica has a group of its own below the group that this program runs in. Memory is limited as
the kernel counts it, where pages of a mapped model file are given back before anything is killed;
limiting the address space instead would break such models.
"""

import contextlib
import os
import signal
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

CONTROLLERS = ("cpu", "memory", "pids")
_PERIOD_US = 100_000  # over which CPU time is counted
_LEAF = "towpath-server"  # where this program moves, since a group with children has no processes
_REMOVE_TRIES = 50
_REMOVE_WAIT_S = 0.02  # between tries: killed processes leave within milliseconds


@dataclass(frozen=True)
class Bounds:
    """What one replica may use; none is no bound."""

    memory_bytes: int | None
    cpu_milli: int | None
    cpu_share_milli: int
    """What it gets of a busy machine, in proportion to others."""
    processes: int


@dataclass(frozen=True)
class Groups:
    """The control groups that may be written here, by controller."""

    version: int
    parents: Mapping[str, Path]

    @property
    def words(self) -> str:
        """Name them for a person."""
        return f"version {self.version}: {', '.join(sorted(self.parents))}"

    def make(self, name: str, bounds: Bounds) -> list[str]:
        """
        Make the groups of one replica; a program that writes its pid there is bounded.

        Raises:
            OSError: They cannot be made or written.
        """
        made = []
        for controller, parent in self.parents.items():
            group = parent / name
            group.mkdir(parents=True, exist_ok=True)
            for file, value in self._settings(controller, bounds):
                if (group / file).exists():
                    (group / file).write_text(value, encoding="ascii")
            if str(group) not in made:
                made.append(str(group))
        return made

    def _settings(self, controller: str, bounds: Bounds) -> list[tuple[str, str]]:
        memory, cpu = bounds.memory_bytes, bounds.cpu_milli
        shares = max(2, bounds.cpu_share_milli * 1024 // 1000)
        quota = -1 if cpu is None else max(1_000, cpu * _PERIOD_US // 1000)
        if self.version == 1:
            known = {
                "memory": [("memory.limit_in_bytes", "-1" if memory is None else str(memory))],
                "cpu": [
                    ("cpu.shares", str(shares)),
                    ("cpu.cfs_period_us", str(_PERIOD_US)),
                    ("cpu.cfs_quota_us", str(quota)),
                ],
                "pids": [("pids.max", str(bounds.processes))],
            }
            if memory is not None:  # with the swap, where the kernel counts it
                known["memory"].append(("memory.memsw.limit_in_bytes", str(memory)))
            return known[controller]
        weight = 1 + (shares - 2) * 9999 // 262142  # as container engines turn one into the other
        return {
            "memory": [
                ("memory.max", "max" if memory is None else str(memory)),
                ("memory.swap.max", "max" if memory is None else "0"),
                ("memory.oom.group", "1"),
            ],
            "cpu": [
                ("cpu.weight", str(min(10_000, weight))),
                ("cpu.max", f"{'max' if quota < 0 else quota} {_PERIOD_US}"),
            ],
            "pids": [("pids.max", str(bounds.processes))],
        }[controller]


def find(tag: str, *, proc: Path = Path("/proc"), own: int | None = None) -> Groups | str:
    """
    Find the groups below which replicas of this installation get theirs; else say why not.

    Args:
        tag: Name of the installation, part of the path.
    """
    try:
        mounts = (proc / "self/mountinfo").read_text(encoding="utf-8", errors="replace")
        inside = (proc / "self/cgroup").read_text(encoding="utf-8")
    except OSError as error:
        return f"control groups cannot be read: {error}"
    places = _places(mounts.splitlines(), inside.splitlines())
    first = {name: places[name] for name in CONTROLLERS if name in places}
    try:
        if first:
            for path in first.values():
                _try(path / tag)
            return Groups(1, {name: path / tag for name, path in first.items()})
        if "" not in places:
            return "no hierarchy of control groups is mounted"
        return _unified(places[""], tag, os.getpid() if own is None else own)
    except OSError as error:
        return f"control groups cannot be written ({error}); a systemd service needs `Delegate=yes`"


def _places(mounts: Sequence[str], inside: Sequence[str]) -> dict[str, Path]:
    """Map each controller, and `""` for version 2, to the group that this program is in."""
    paths = {}
    for line in inside:
        _, names, path = line.split(":", 2)
        for name in names.split(","):
            paths[name] = path
    found: dict[str, Path] = {}
    for line in mounts:
        before, _, after = line.partition(" - ")
        fields, more = before.split(), after.split()
        if len(fields) < 5 or len(more) < 3:
            continue
        root, point = fields[3], fields[4]
        if more[0] == "cgroup2" and "" in paths:
            found[""] = _below(point, root, paths[""])
        elif more[0] == "cgroup":
            for name in more[2].split(","):
                if name in paths:
                    found[name] = _below(point, root, paths[name])
    return found


def _below(point: str, root: str, path: str) -> Path:
    inner = path[len(root) :] if root != "/" and path.startswith(root) else path
    return Path(point, inner.strip("/")) if inner.strip("/") else Path(point)


def _try(group: Path) -> None:
    group.mkdir(parents=True, exist_ok=True)
    if not os.access(group / "cgroup.procs", os.W_OK):
        raise PermissionError(f"{group} is not writable")


def _unified(group: Path, tag: str, own: int) -> Groups | str:
    if group.name == _LEAF:  # a control plane before this one moved here
        group = group.parent
    there = (group / "cgroup.controllers").read_text(encoding="ascii").split()
    wanted = [name for name in CONTROLLERS if name in there]
    if not wanted:
        return f"no controller is given to {group}; a systemd service needs `Delegate=yes`"
    enable = " ".join(f"+{name}" for name in wanted)
    switch = group / "cgroup.subtree_control"
    if not set(wanted) <= set(switch.read_text(encoding="ascii").split()):
        others = _strangers(group, own)
        if others:
            return (
                f"{others} other programs are in the control group {group}; "
                "run the platform as a service of its own with `Delegate=yes`"
            )
        _move_down(group)
        switch.write_text(enable, encoding="ascii")
    parent = group / tag
    _try(parent)
    (parent / "cgroup.subtree_control").write_text(enable, encoding="ascii")
    return Groups(2, dict.fromkeys(wanted, parent))


_INIT = frozenset({"systemd", "init"})


def _strangers(group: Path, own: int) -> int:
    """Count processes of the group that are not of this program's family."""
    try:
        me = psutil.Process(own)
        head = me.parent() or me
        if head.name() in _INIT:  # everything on the machine is its family
            head = me
        family = {head.pid, own, *(child.pid for child in head.children(recursive=True))}
    except psutil.Error:
        family = {own}
    return sum(pid not in family for pid in _members(group))


def _move_down(group: Path) -> None:
    leaf = group / _LEAF
    leaf.mkdir(exist_ok=True)
    for pid in _members(group):
        with contextlib.suppress(ProcessLookupError):
            (leaf / "cgroup.procs").write_text(str(pid), encoding="ascii")


def _members(group: Path) -> list[int]:
    try:
        return [int(line) for line in (group / "cgroup.procs").read_text("ascii").split()]
    except OSError:
        return []


def killed_for_memory(groups: Sequence[str]) -> bool:
    """Tell whether the kernel has ended a process of these groups at their memory limit."""
    for group in groups:
        for file in ("memory.events", "memory.oom_control"):
            try:
                text = Path(group, file).read_text(encoding="ascii")
            except OSError:
                continue
            counts = dict(line.split()[:2] for line in text.splitlines() if " " in line)
            if int(counts.get("oom_kill", 0)) > 0:
                return True
    return False


def remove(groups: Sequence[str]) -> None:
    """End what is left in these groups, and remove them."""
    for group in map(Path, groups):
        for _ in range(_REMOVE_TRIES):
            for pid in _members(group):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)
            try:
                group.rmdir()
            except FileNotFoundError:
                break
            except OSError:
                time.sleep(_REMOVE_WAIT_S)
            else:
                break
