"""The listeners: bound once, handed on as descriptors, open for as long as `towpath up` runs."""

import contextlib
import errno
import socket
from pathlib import Path

import psutil

from towpath_server.supervisor.errors import CannotStart

# What arrives while a part is replaced waits here; the kernel cuts it to its own maximum.
BACKLOG = 4096
NAMES = ("door", "api", "link", "up")
"""The front door, what the parts listen on, and where this process itself is asked."""


def bind_door(host: str, port: int) -> socket.socket:
    """
    Bind the front door; port 0 takes a free one.

    Raises:
        CannotStart: The port is taken or may not be bound.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    door = socket.socket(family, socket.SOCK_STREAM)
    # Connections of a former run may still linger; a listener of another program is refused all the
    # same.
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        door.bind((host, port))
        door.listen(BACKLOG)
    except OSError as error:
        door.close()
        raise _cannot_bind(host, port, error) from error
    door.setblocking(False)  # noqa: FBT003
    return door


def bind_local(path: Path) -> socket.socket:
    """
    Bind a Unix socket that only this user may connect to.

    A socket file left by a former run is replaced; the folder's lock says that nobody serves it.

    Raises:
        CannotStart: The socket cannot be made.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        path.unlink(missing_ok=True)
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise CannotStart(
            f"the socket `{path}` cannot be made: {error.strerror or error}",
            fix="give a data folder on a local disk: `towpath up --data DIR`",
        ) from error
    listener.setblocking(False)  # noqa: FBT003
    return listener


def _cannot_bind(host: str, port: int, error: OSError) -> CannotStart:
    if error.errno == errno.EADDRINUSE:
        return CannotStart(
            f"port {port} on {host} is taken by {_holder(port)}",
            fix=f"stop that program, or choose another port: `towpath up --port {port + 1}`",
        )
    if error.errno == errno.EACCES:
        return CannotStart(
            f"port {port} on {host} may not be bound by this user",
            fix="choose a port above 1023: `towpath up --port 8080`",
        )
    return CannotStart(
        f"port {port} on {host} cannot be bound: {error.strerror or error}",
        fix="choose another port: `towpath up --port 8080`",
    )


def _holder(port: int) -> str:
    """Name the program that listens on a port, as far as this user may know."""
    with contextlib.suppress(psutil.Error, OSError):
        for connection in psutil.net_connections(kind="tcp"):
            if (
                connection.status == psutil.CONN_LISTEN
                and connection.laddr
                and connection.laddr.port == port
                and connection.pid
            ):
                return f"`{psutil.Process(connection.pid).name()}` (process {connection.pid})"
    return "another program"
