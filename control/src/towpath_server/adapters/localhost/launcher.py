"""
Turns itself into a model server that is shut in: a program of its own, run as `python -I -S`.

It reads a plan as JSON from its standard input, enters control groups, makes namespaces, builds a
root of its own, drops its rights and becomes the program. What fails is told as one line of JSON on
the file descriptor that the plan names; when nothing is told, the program runs. Without a plan,
whoever started it is gone, or needs it no more.

It stands alone: it imports nothing of this distribution, since it starts once for every replica.
"""

import ctypes
import fcntl
import json
import os
import resource
import signal
import socket
import struct
import sys
from pathlib import Path
from typing import Any, NoReturn

_libc = ctypes.CDLL(None, use_errno=True)

CLONE_PARENT = 0x00008000
CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_BIND, MS_REC, MS_SLAVE = 4096, 16384, 1 << 19
MNT_DETACH = 2
AT_FDCWD, AT_RECURSIVE = -100, 0x8000
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP = 24, 38, 22
_SYS_MOUNT_SETATTR = 442  # the same number on every architecture
_SYS_CLONE = {"x86_64": 56, "aarch64": 220}
_SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_LAST_CAP = 63
_OLD = "/.old"
_HOST_LINKS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
_DEVICES = ("null", "zero", "full", "random", "urandom", "tty")


class _Failed(Exception):
    """A measure that cannot be had."""

    def __init__(self, measure: str, why: str) -> None:
        super().__init__(why)
        self.measure = measure


def main() -> NoReturn:
    """Follow the plan on the standard input."""
    text = sys.stdin.buffer.read()
    if not text:
        os._exit(0)
    plan: dict[str, Any] = json.loads(text)
    nothing = os.open("/dev/null", os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    report = plan["report_fd"]
    os.set_inheritable(report, False)  # noqa: FBT003
    try:
        _open_log(plan["log"])
        _enter_groups(plan)
        child = _unshare(plan)
        if child:
            _tell(report, {"pid": child})
            os._exit(0)
        _finish(plan)
        os.execvpe(plan["command"][0], plan["command"], plan["env"])  # noqa: S606
    except _Failed as failed:
        _tell(report, {"failed": failed.measure, "why": str(failed)})
    except OSError as error:
        _tell(report, {"failed": "program", "why": f"{plan['command'][0]}: {error.strerror}"})
    os._exit(127)


def _tell(report: int, what: dict[str, Any]) -> None:
    os.write(report, (json.dumps(what) + "\n").encode())


def _open_log(path: str) -> None:
    log = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    for stream in (1, 2):
        os.dup2(log, stream)
    os.close(log)


def _enter_groups(plan: dict[str, Any]) -> None:
    for group in plan["groups"]:
        try:
            Path(group, "cgroup.procs").write_text(str(os.getpid()), encoding="ascii")
        except OSError as error:
            raise _Failed("cgroup", str(error)) from error


def _unshare(plan: dict[str, Any]) -> int:
    """Make the namespaces; return the pid of the process that goes on, and 0 in that process."""
    measures = plan["measures"]
    if measures.get("user") == "namespace":
        _user_namespace()
    if "filesystem" in measures:
        _call("filesystem", _libc.unshare, CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS)
        _mount("filesystem", None, "/", None, MS_REC | MS_SLAVE)
    if "network" in measures:
        _call("network", _libc.unshare, CLONE_NEWNET)
        _loopback()
    if "processes" not in measures:
        return 0
    _call("processes", _libc.unshare, CLONE_NEWPID)
    # A sibling, so that it is the child of who started this and its end is told there. (`os.fork`
    # cannot say `CLONE_PARENT`.)
    number = _SYS_CLONE[os.uname().machine]
    pid = _call("processes", _libc.syscall, number, CLONE_PARENT | signal.SIGCHLD, 0, 0, 0, 0)
    if pid == 0:
        os.setsid()
    return int(pid)


def _user_namespace() -> None:
    uid, gid = os.geteuid(), os.getegid()
    _call("user", _libc.unshare, CLONE_NEWUSER)
    try:
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1", encoding="ascii")
        Path("/proc/self/setgroups").write_text("deny", encoding="ascii")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1", encoding="ascii")
    except OSError as error:
        raise _Failed("user", str(error)) from error


def _loopback() -> None:
    """Bring the namespace's own loopback up; there is no other interface in it."""
    up, running = 0x1, 0x40
    get, put = 0x8913, 0x8914  # SIOCGIFFLAGS, SIOCSIFFLAGS
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            request = struct.pack("16sh14x", b"lo", 0)
            flags = struct.unpack("16sh14x", fcntl.ioctl(any_socket, get, request))[1]
            fcntl.ioctl(any_socket, put, struct.pack("16sh14x", b"lo", flags | up | running))
    except OSError as error:
        raise _Failed("network", str(error)) from error


def _finish(plan: dict[str, Any]) -> None:
    """Do what must be done in the process that becomes the program."""
    measures = plan["measures"]
    if "filesystem" in measures:
        _build_root(plan)
    os.chdir(plan["folder"])
    for name, value in plan["rlimits"].items():
        kind = getattr(resource, name)
        hard = resource.getrlimit(kind)[1]
        most = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (most, most))
    if measures.get("user") == "own":
        try:
            os.setgroups([])
            os.setresgid(plan["gid"], plan["gid"], plan["gid"])
            _drop_bounds()
            os.setresuid(plan["uid"], plan["uid"], plan["uid"])
        except OSError as error:
            raise _Failed("user", str(error)) from error
    elif measures.get("user") == "namespace":
        _drop_bounds()
        _drop_capabilities()
    os.umask(0o077)
    if measures:
        _call("seccomp", _libc.prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if "seccomp" in measures:
        _filter(bytes.fromhex(plan["filter"]))


def _drop_bounds() -> None:
    for capability in range(_LAST_CAP):
        if _libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0:
            return  # the first number that this kernel does not know


def _drop_capabilities() -> None:
    version = 0x20080522  # _LINUX_CAPABILITY_VERSION_3
    header = struct.pack("Ii", version, 0)
    _call("user", _libc.capset, header, bytes(24))


def _filter(program: bytes) -> None:
    buffer = ctypes.create_string_buffer(program, len(program))
    length = len(program) // 8
    packed = struct.pack("HxxxxxxP", length, ctypes.addressof(buffer))
    _call("seccomp", _libc.prctl, PR_SET_SECCOMP, 2, packed, 0, 0)


def _build_root(plan: dict[str, Any]) -> None:
    """Make a root that holds what the plan names, and nothing else."""
    try:
        _mount("filesystem", "root", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=1m")  # noqa: S108
        Path("/tmp", _OLD[1:]).mkdir()  # noqa: S108
        machine = os.uname().machine
        os.chdir("/tmp")  # noqa: S108
        _call("filesystem", _libc.syscall, _SYS_PIVOT_ROOT[machine], b".", _OLD[1:].encode())
        os.chdir("/")
        _furnish(plan)
        for path in plan["visible"]:
            _bind(path, read_only=True)
        for path in plan["hidden"]:
            if Path(path).is_dir():
                _mount("filesystem", "hidden", path, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755")
        for path in plan["within"]:
            _bind(path, read_only=True)
        for link, target in plan["links"]:
            if not os.path.lexists(link):
                Path(link).parent.mkdir(parents=True, exist_ok=True)
                Path(link).symlink_to(target)
        for path in plan["writable"]:
            _bind(path, read_only=False)
        for path in plan["devices"]:
            _bind(path, read_only=False, devices=True)
        _call("filesystem", _libc.umount2, _OLD.encode(), MNT_DETACH)
        Path(_OLD).rmdir()
        _attributes("/", MS_RDONLY | MS_NOSUID | MS_NODEV, recursive=False)
    except OSError as error:
        raise _Failed("filesystem", str(error)) from error


def _furnish(plan: dict[str, Any]) -> None:
    """Make what every program expects: its links, devices, `/proc`, `/tmp`, and who it is."""
    for name in _HOST_LINKS:
        host = Path(_OLD, name)
        if host.is_symlink():
            Path("/", name).symlink_to(host.readlink())
        elif host.is_dir():
            _bind(f"/{name}", read_only=True)
    for name in ("etc", "run", "var", "proc", "tmp", "dev"):
        Path("/", name).mkdir()
    scratch = f"mode=1777,size={plan['scratch_bytes']}"
    _mount("filesystem", "tmp", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, scratch)  # noqa: S108
    Path("/var/tmp").symlink_to("/tmp")  # noqa: S108
    user, group = plan["uid"], plan["gid"]
    home = plan["folder"]
    who = f"root:x:0:0:root:/:/usr/sbin/nologin\nmodel:x:{user}:{group}::{home}:/usr/sbin/nologin\n"
    Path("/etc/passwd").write_text(who, encoding="utf-8")
    Path("/etc/group").write_text(f"root:x:0:\nmodel:x:{group}:\n", encoding="ascii")
    Path("/etc/hosts").write_text("127.0.0.1 localhost\n::1 localhost\n", encoding="ascii")
    for name in _DEVICES:
        _bind(f"/dev/{name}", read_only=False, devices=True)
    for link, target in (("fd", ""), ("stdin", "/0"), ("stdout", "/1"), ("stderr", "/2")):
        Path("/dev", link).symlink_to(f"/proc/self/fd{target}")
    Path("/dev/shm").mkdir()  # noqa: S108
    _mount("filesystem", "shm", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, scratch)  # noqa: S108
    if "processes" in plan["measures"]:
        quiet = MS_NOSUID | MS_NODEV | MS_NOEXEC
        _mount("processes", "proc", "/proc", "proc", quiet)
    else:
        _bind("/proc", read_only=True)


def _bind(path: str, *, read_only: bool, devices: bool = False) -> None:
    """Show a file or folder of the machine at its own place; one that is not there is left out."""
    source = _OLD + path
    if not os.path.lexists(source):
        return
    place = Path(path)
    if Path(source).is_dir():
        place.mkdir(parents=True, exist_ok=True)
    else:
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.exists():
            place.touch()
    _mount("filesystem", source, path, None, MS_BIND | MS_REC)
    flags = MS_NOSUID | (MS_RDONLY if read_only else 0) | (0 if devices else MS_NODEV)
    _attributes(path, flags, recursive=True)


def _attributes(path: str, flags: int, *, recursive: bool) -> None:
    # struct mount_attr: set, clear, propagation, userns_fd
    wanted = struct.pack("QQQQ", flags, 0, 0, 0)
    scope = AT_RECURSIVE if recursive else 0
    number = _SYS_MOUNT_SETATTR
    _call("filesystem", _libc.syscall, number, AT_FDCWD, path.encode(), scope, wanted, len(wanted))


def _mount(  # noqa: PLR0917 (the system call's own order)
    measure: str, source: str | None, target: str, kind: str | None, flags: int, more: str = ""
) -> None:
    encoded = [None if part is None else part.encode() for part in (source, target, kind)]
    _call(measure, _libc.mount, *encoded, ctypes.c_ulong(flags), more.encode() or None)


def _call(measure: str, function: Any, *arguments: Any) -> int:
    result = function(*arguments)
    if result < 0:
        number = ctypes.get_errno()
        name = getattr(function, "__name__", "system call")
        raise _Failed(measure, f"{name}: {os.strerror(number)}")
    return int(result)


if __name__ == "__main__":
    main()
