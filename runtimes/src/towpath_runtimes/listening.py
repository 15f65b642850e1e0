"""
Where a model server listens, and the secret that its callers must show.

Every server of this package shares this contract: `--listen unix:/path.sock` or `--listen
127.0.0.1:PORT`, the secret in `TOWPATH_REPLICA_SECRET`. Loopback and Unix sockets only: a model
server is never reached but through the gateway.
"""

import contextlib
import ipaddress
import os
import signal
import socket
import stat
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SECRET_VARIABLE = "TOWPATH_REPLICA_SECRET"  # noqa: S105 - the variable's name
SECRET_MINIMUM = 16
SOCKET_PATH_MAXIMUM = 107  # `sun_path` of Linux, less its closing zero
BACKLOG = 128  # connections the kernel keeps until they are accepted; the gateway's pool is smaller


class StartRefused(Exception):
    """The server cannot start; `fix` says what to do."""

    def __init__(self, what: str, *, fix: str) -> None:
        super().__init__(what)
        self.fix = fix


@dataclass(frozen=True)
class Address:
    """A Unix socket's path, or a loopback host and port."""

    path: Path | None = None
    host: str = ""
    port: int = 0

    @classmethod
    def parse(cls, text: str) -> "Address":
        """
        Read `unix:/path.sock` or `127.0.0.1:PORT`.

        Raises:
            StartRefused: It is neither, the path is too long, or the host is not loopback.
        """
        scheme, _, rest = text.partition(":")
        if scheme == "unix":
            return cls(path=_socket_path(rest))
        host, _, port = text.rpartition(":")
        host = host.strip("[]")
        if not port.isdecimal() or int(port) > 65535:
            raise StartRefused(
                f"`--listen {text}` is no address",
                fix="use `unix:/path/to/server.sock` or `127.0.0.1:PORT`",
            )
        try:
            loopback = ipaddress.ip_address(host).is_loopback
        except ValueError:
            loopback = False
        if not loopback:
            raise StartRefused(
                f"`--listen {text}` is not a loopback address",
                fix="use `127.0.0.1:PORT`: the gateway is the only door to a model",
            )
        return cls(host=host, port=int(port))

    def clear(self) -> None:
        """
        Remove the socket file that a former server left.

        Raises:
            StartRefused: A server still answers there, or the path is something else than a socket.
        """
        if self.path is None or not self.path.exists():
            return
        if not stat.S_ISSOCK(self.path.stat().st_mode):
            raise StartRefused(
                f"`{self.path}` exists and is not a socket",
                fix="choose another path for `--listen`",
            )
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(1)  # a listener with a full backlog must not hold up the start
            try:
                probe.connect(str(self.path))
            except ConnectionRefusedError:
                self.path.unlink()
                return
            except OSError as error:
                raise StartRefused(
                    f"`{self.path}` cannot be probed: {error.strerror or error}",
                    fix="check who owns the folder",
                ) from error
        raise StartRefused(
            f"another server already listens on `{self.path}`",
            fix="stop it first, or choose another path for `--listen`",
        )

    def bind(self) -> socket.socket:
        """
        Open the listening socket; a Unix socket is for its owner alone.

        Raises:
            StartRefused: The address is taken or may not be used.
        """
        self.clear()
        family = (
            socket.AF_UNIX if self.path else socket.AF_INET6 if ":" in self.host else socket.AF_INET
        )
        listener = socket.socket(family)
        try:
            if self.path:
                with owner_only():
                    listener.bind(str(self.path))
            else:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind((self.host, self.port))
            listener.listen(BACKLOG)
        except OSError as error:
            listener.close()
            raise StartRefused(
                f"cannot listen on `{self}`: {error.strerror or error}",
                fix="choose a free port"
                if not self.path
                else "check that the folder exists and is writable",
            ) from error
        return listener

    def remove(self) -> None:
        """Remove the socket file, once nobody listens any more."""
        if self.path:
            self.path.unlink(missing_ok=True)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"unix:{self.path}" if self.path else f"{host}:{self.port}"


def _socket_path(text: str) -> Path:
    path = Path(text)
    if not path.is_absolute() or path.suffix != ".sock":
        raise StartRefused(
            f"`--listen unix:{text}` is no socket path",
            fix="use an absolute path that ends in `.sock`",
        )
    if len(os.fsencode(path)) > SOCKET_PATH_MAXIMUM:
        raise StartRefused(
            f"the socket path has {len(os.fsencode(path))} bytes, "
            f"the system allows {SOCKET_PATH_MAXIMUM}",
            fix="use a shorter folder",
        )
    return path


def replica_secret() -> str:
    """
    Take the secret out of the environment, so that no child process inherits it.

    Raises:
        StartRefused: It is missing or too short.
    """
    secret = os.environ.pop(SECRET_VARIABLE, "")  # noqa: TID251 - the one setting of a replica
    if len(secret) < SECRET_MINIMUM or not secret.isascii() or not secret.isprintable():
        raise StartRefused(
            f"`{SECRET_VARIABLE}` is missing, has less than {SECRET_MINIMUM} characters "
            "or is not printable ASCII",
            fix=f"set it: {SECRET_VARIABLE}=$(openssl rand -hex 24)",
        )
    return secret


@contextlib.contextmanager
def owner_only() -> Iterator[None]:
    """Create files for their owner alone while this lasts."""
    former = os.umask(0o177)
    try:
        yield
    finally:
        os.umask(former)


@contextlib.contextmanager
def stop_signal() -> Iterator[socket.socket]:
    """
    Turn SIGTERM and SIGINT into a byte on a socket, while this lasts.

    A wake-up socket, because the engines' own threads may be the ones that receive the signal: a
    main thread that sleeps in a lock would not notice.
    """
    reader, writer = socket.socketpair()
    writer.setblocking(False)  # noqa: FBT003 - the library's signature
    former = {
        number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGINT)
    }
    former_fd = signal.set_wakeup_fd(writer.fileno())
    try:
        yield reader
    finally:
        signal.set_wakeup_fd(former_fd)
        for number, handler in former.items():
            signal.signal(number, handler)
        reader.close()
        writer.close()


def positive(text: str) -> int:
    """Read a number above 0."""
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def report(refusal: StartRefused) -> int:
    """Write why the server did not start; returns the exit code."""
    sys.stderr.write(f"error: {refusal}\n\nfix: {refusal.fix}\n")
    return 1
