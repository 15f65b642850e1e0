"""What is noted of a replica's process, so that the next control plane finds it again."""

import json
import os
import socket
import struct
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

FILE = "state.json"
_VERSION = 1


@dataclass(frozen=True)
class Running:
    """A started process and how it can be recognised."""

    id: str
    pid: int
    started: str
    address: str
    fingerprint: str
    ready: bool
    restarts: int
    isolation: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    """Control groups that are its own."""
    gpus: tuple[str, ...] = ()


def save(folder: Path, running: Running) -> None:
    """Write the state whole or not at all."""
    temporary = folder / f"{FILE}.new"
    temporary.write_text(json.dumps({"version": _VERSION, **asdict(running)}), encoding="utf-8")
    temporary.replace(folder / FILE)


def load(folder: Path) -> Running | None:
    """Read the state; none when there is none, or none that this version understands."""
    try:
        content = json.loads((folder / FILE).read_text(encoding="utf-8"))
        if content.pop("version") != _VERSION:
            return None
        for name in ("isolation", "groups", "gpus"):
            content[name] = tuple(content.get(name, ()))
        return Running(**content)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def forget(folder: Path) -> None:
    """Remove the state of a process that is gone."""
    (folder / FILE).unlink(missing_ok=True)


def listens(address: str, pid: int) -> bool:
    """
    Tell whether whoever listens at `address` belongs to the session that `pid` leads.

    A server that does not listen yet is given the benefit of the doubt while it starts.
    """
    if address.startswith("unix:"):
        return _unix_listener_is(address.removeprefix("unix:"), pid)
    port = int(address.rpartition(":")[2])
    owner = _port_listener(port)
    return owner is None or _in_session(owner, pid)


def _unix_listener_is(path: str, pid: int) -> bool:
    if not hasattr(socket, "SO_PEERCRED"):
        return Path(path).exists()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
        peer.settimeout(1.0)
        try:
            peer.connect(path)
            size = struct.calcsize("3i")
            credentials = peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size)
        except OSError:
            return not Path(path).exists()
    return _in_session(struct.unpack("3i", credentials)[0], pid)


def _port_listener(port: int) -> int | None:
    try:
        for connection in psutil.net_connections("inet"):
            listening = connection.status == psutil.CONN_LISTEN
            local = connection.laddr  # an empty tuple where the system does not tell
            if listening and local and local[1] == port and connection.pid is not None:
                return connection.pid
    except psutil.Error:
        return None  # the system does not tell; pid and start time have matched
    return None


def _in_session(pid: int, leader: int) -> bool:
    try:
        return os.getsid(pid) == leader
    except ProcessLookupError:
        return False
