"""
Starts model servers shut in, as far as this machine allows, and says how far that is.

Measures: `user` (a user id of its own, or a user namespace), `processes`, `network` and
`filesystem` (namespaces), `cgroup` (limits), `seccomp` (a filter of system calls). Which of them
hold is found out once, by starting a program under all of them and dropping what fails.
"""

import asyncio
import contextlib
import hashlib
import importlib.util
import os
import shutil
import sys
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from towpath_server.adapters.compute import Isolation, Listen, ReplicaSpec
from towpath_server.adapters.localhost import cgroups, relay, seccomp
from towpath_server.adapters.localhost.process import Process
from towpath_server.adapters.localhost.spec import Mode
from towpath_server.adapters.localhost.starter import Launcher, Launchers, python
from towpath_server.core import log as logging
from towpath_server.core.folder import DataFolder

log = logging.get(__name__)

MEASURES = ("user", "processes", "network", "filesystem", "cgroup", "seccomp")
_KERNEL = ("processes", "network", "filesystem")  # those that need rights, or a user namespace
_FIRST_UID = 1 << 30  # far above what user databases and containers hand out
_UIDS = (1 << 28) - 1
_FILES = 65_536  # open files of one server
_PROBE_S = 20.0  # a program that does nothing, on a machine that is very busy
_REPORT_BYTES = 64 << 10
_ETC = (
    "alternatives",
    "ca-certificates",
    "fonts",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "mime.types",
    "nsswitch.conf",
    "pki/tls/certs",
    "protocols",
    "services",
    "ssl/certs",
    "ssl/openssl.cnf",
)


class CannotStart(Exception):
    """A model server could not be started; the text says why."""


@dataclass(frozen=True)
class Order:
    """What is to be started, and where."""

    spec: ReplicaSpec
    command: Sequence[str]
    env: Mapping[str, str]
    """All of the program's environment; by a part of it an orphan is recognised."""
    home: Path
    sockets: Path
    log: Path
    devices: Sequence[str] = ()


@dataclass(frozen=True)
class Started:
    """A process, and what holds for it."""

    process: Process
    measures: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


@dataclass
class Isolator:
    """Starts processes under the measures that this machine allows."""

    folder: DataFolder
    mode: Mode
    processes: int
    """Processes and threads that one server may have."""
    _measures: dict[str, str] = field(default_factory=dict)
    _missing: dict[str, str] = field(default_factory=dict)
    _groups: cgroups.Groups | None = None
    launchers: Launchers = field(default_factory=Launchers)

    @property
    def isolation(self) -> Isolation:
        """Tell which measures hold, and why others do not."""
        measures = dict(self._measures)
        if self._groups is not None:
            measures["cgroup"] = self._groups.words
        return Isolation(self.mode.value, measures, dict(self._missing))

    @property
    def required(self) -> Sequence[str]:
        """Return the measures without which no model server may run."""
        return MEASURES if self.mode is Mode.STRICT else ()

    @property
    def refusal(self) -> str | None:
        """Say why no model server may be started; none when it may."""
        if self.mode is not Mode.STRICT or not self._missing:
            return None
        listed = "; ".join(f"`{name}`: {why}" for name, why in sorted(self._missing.items()))
        return f"`compute.isolation` is `strict`, and this machine lacks {listed}."

    def relayed(self, spec: ReplicaSpec) -> bool:
        """Tell whether a server on a port has a network of its own, and is reached by a relay."""
        return spec.listen is Listen.PORT and "network" in self._measures

    async def look(self) -> None:
        """Find out what this machine allows."""
        if self.mode is Mode.OFF:
            return
        if sys.platform != "linux":
            self._missing = dict.fromkeys(MEASURES, "it needs Linux")
            return
        tag = "towpath-" + hashlib.sha256(str(self.folder.root).encode()).hexdigest()[:8]
        found = await asyncio.to_thread(cgroups.find, tag)
        if isinstance(found, str):
            self._missing["cgroup"] = found
        elif "memory" not in found.parents:
            self._missing["cgroup"] = "no controller of memory is given to this program"
        else:
            self._groups = found
        own = os.geteuid() == 0
        wanted = {"user": "own" if own else "namespace"}
        wanted |= dict.fromkeys(_KERNEL, "namespace")
        if seccomp.program() is not None:
            wanted["seccomp"] = "filter"
        else:
            self._missing["seccomp"] = f"there is no filter for {os.uname().machine}"
        await self._narrow(wanted)
        log.info("isolation.found", **self.isolation.measures, missing=sorted(self._missing))

    async def _narrow(self, wanted: dict[str, str]) -> None:
        """Start a program that does nothing; drop what fails until it runs."""
        missing: dict[str, str] = {}
        namespace_tried = wanted["user"] == "namespace"
        while wanted:
            failed = await self._try(wanted)
            if failed is None:
                break
            name, why = failed
            if name in _KERNEL and not namespace_tried:
                # Without the rights to make them, a user namespace may give them.
                namespace_tried = True
                with_own = dict(wanted)
                if await self._try({**wanted, "user": "namespace"}) is None:
                    wanted["user"] = "namespace"
                    break
                wanted = with_own
            if name not in wanted:
                missing |= dict.fromkeys(wanted, why)
                wanted = {}
                break
            missing[name] = why
            del wanted[name]
        self._measures, self._missing = wanted, {**self._missing, **missing}

    async def _try(self, measures: dict[str, str]) -> tuple[str, str] | None:
        nothing = shutil.which("true") or "/bin/true"
        folder = self.folder.replicas
        plan = {
            **self._plan(measures, folder=folder, uid=_FIRST_UID, scratch_bytes=1 << 20),
            "command": [nothing],
            "visible": ["/usr"],
        }
        one = Launcher()
        try:
            async with asyncio.timeout(_PROBE_S):
                said = await asyncio.to_thread(one.follow, plan)
        except TimeoutError:
            one.kill()
            return "processes", "the program did not start in time"
        if "failed" in said:
            return said["failed"], said["why"]
        with contextlib.suppress(ChildProcessError):
            await asyncio.to_thread(os.waitpid, int(said.get("pid", one.pid)), 0)
        return None

    async def start(self, order: Order) -> Started:
        """
        Start a program; it runs when this returns.

        Raises:
            CannotStart: A measure failed or is not to be had, or there is no such program.
            OSError: The machine has no room for it.
        """
        measures = dict(self._measures)
        if order.spec.own_network and "network" not in measures:
            raise CannotStart("it needs a network of its own, which this machine does not give")
        if not measures and self._groups is None:
            process = Process.spawn(order.command, env=order.env, folder=order.home, log=order.log)
            return Started(process)
        order.log.touch()
        groups = await asyncio.to_thread(self._make_groups, order.spec)
        uid = _uid(self.folder.root, order.spec.id)
        if measures.get("user") == "own":
            await asyncio.to_thread(_hand_over, order, uid)
        plan = self._plan(
            measures,
            folder=order.home,
            uid=uid,
            scratch_bytes=order.spec.memory_limit_bytes or psutil.virtual_memory().total // 4,
        )
        plan |= self._places(order)
        plan |= {
            "command": list(order.command),
            "env": dict(order.env),
            "groups": groups,
            "log": str(order.log),
        }
        said = await self.launchers.follow(plan)
        if "failed" in said:
            await asyncio.to_thread(cgroups.remove, groups)
            what = "" if said["failed"] == "program" else f"the measure `{said['failed']}` failed: "
            raise CannotStart(f"{what}{said['why']}")
        process = Process.of_child(int(said["pid"]))
        names = [*measures, *(["cgroup"] if groups else [])]
        return Started(process, tuple(sorted(names)), tuple(groups))

    def _plan(
        self, measures: Mapping[str, str], *, folder: Path, uid: int, scratch_bytes: int
    ) -> dict[str, Any]:
        own = measures.get("user") == "own"
        program = seccomp.program() or b""
        rlimits = {"RLIMIT_CORE": 0, "RLIMIT_NOFILE": _FILES}
        if "user" in measures:  # elsewhere the processes of other programs would count
            rlimits["RLIMIT_NPROC"] = self.processes
        return {
            "measures": dict(measures),
            "uid": uid if own else os.geteuid(),
            "gid": uid if own else os.getegid(),
            "folder": os.path.realpath(folder),
            "rlimits": rlimits,
            "filter": program.hex(),
            "scratch_bytes": scratch_bytes,
            "groups": [],
            "env": {},
            "log": os.devnull,
            "visible": [],
            "hidden": [],
            "within": [],
            "writable": [os.path.realpath(folder)],
            "devices": [],
            "links": [],
        }

    def sweep(self, known: Collection[str]) -> None:
        """Remove the control groups of replicas that are not known: a crash left them."""
        for parent in set(self._groups.parents.values()) if self._groups else ():
            left = [group for group in parent.iterdir() if group.is_dir()]
            cgroups.remove([str(group) for group in left if group.name not in known])

    def _make_groups(self, spec: ReplicaSpec) -> list[str]:
        if self._groups is None:
            return []
        bounds = cgroups.Bounds(
            memory_bytes=spec.memory_limit_bytes,
            cpu_milli=spec.cpu_limit_milli,
            cpu_share_milli=spec.threads * 1000,
            processes=self.processes,
        )
        return self._groups.make(spec.id, bounds)

    def _places(self, order: Order) -> dict[str, Any]:
        """Say what the program sees of the machine."""
        programs = [Path(part) for part in order.command if part.startswith("/")]
        visible = [*_machine(), *(path for path in programs if path.is_file())]
        if programs and programs[0].is_file():
            visible.append(programs[0].parent)
        if order.devices:
            visible.append(Path("/sys"))
        within = list(order.spec.files)
        writable = [order.home, order.sockets]
        links = {}
        for path in (*visible, *within, *writable):
            real = Path(os.path.realpath(path))
            if real != path:
                links[str(path)] = str(real)
        return {
            "visible": _outermost(visible),
            "hidden": [os.path.realpath(self.folder.root), os.path.realpath(self.folder.run)],
            "within": [os.path.realpath(path) for path in within],
            "writable": [os.path.realpath(path) for path in writable],
            "devices": list(order.devices),
            "links": sorted(links.items()),
        }


def through_relay(command: Sequence[str], socket: Path, port: int) -> list[str]:
    """Put the relay before a server that listens on a port of a network of its own."""
    return [*python(relay.__file__), str(socket), str(port), *command]


def _machine() -> list[Path]:
    """Return what every server sees: system libraries, and this Python with its packages."""
    found = [Path("/usr"), Path("/sys/devices/system"), Path(relay.__file__)]
    found += [Path("/etc", name) for name in _ETC]
    found += [Path(sys.prefix), Path(sys.base_prefix)]
    spec = importlib.util.find_spec("towpath_runtimes")
    found += [Path(path) for path in (spec.submodule_search_locations or [])] if spec else []
    return found


def _outermost(paths: Sequence[Path]) -> list[str]:
    """Return real paths, without those that lie within others."""
    kept: list[Path] = []
    for path in sorted({Path(os.path.realpath(path)) for path in paths}):
        if path != Path("/") and not any(path.is_relative_to(outer) for outer in kept):
            kept.append(path)
    return [str(path) for path in kept]


def _uid(root: Path, replica: str) -> int:
    return _FIRST_UID + (zlib.crc32(f"{root}:{replica}".encode()) & _UIDS)


def _hand_over(order: Order, uid: int) -> None:
    """Give a server its own folders, and let it read its files."""
    for folder in (order.home, order.sockets):
        for place, _, names in os.walk(folder):
            for path in (Path(place), *(Path(place, name) for name in names)):
                os.chown(path, uid, uid, follow_symlinks=False)
    os.chown(order.log, uid, uid)  # programs may open `/dev/stdout`
    for top in order.spec.files:
        for path in (top, *top.rglob("*")):
            if path.is_symlink():
                continue
            mode = path.stat().st_mode
            wanted = mode | (0o055 if path.is_dir() else 0o044)
            if wanted != mode:  # the folders above it are closed to everybody else
                path.chmod(wanted)
