"""
One HTTP exchange, on the standard library's client: no retries, no JSON, no meaning.

Blocking calls use `http.client` because it is loaded in a tenth of the time of a full client, and a
command line lives for one call. The asyncio side is in `transport_async`; both give the same
errors, which the conformance vectors prove.
"""

import contextlib
import http.client
import importlib
import selectors
import ssl
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from towpath.auth import is_loopback
from towpath.errors import APIConnectionError, APITimeoutError

CONNECT_TIMEOUT_S = 5.0
# A long answer of a slow model is normal; ten minutes without a byte is not.
READ_TIMEOUT_S = 600.0
# Idle connections kept for the next call: as many as threads that plausibly share one client.
MAX_IDLE = 32
# Larger bodies are uploaded in pieces of this size, never held in memory whole.
PIECE_BYTES = 1 << 20


@dataclass(frozen=True)
class Timeout:
    """How long to wait for a connection, and for the next byte of an answer."""

    connect_s: float = CONNECT_TIMEOUT_S
    read_s: float = READ_TIMEOUT_S


def _nobody(_: int) -> None:
    """Hear nothing."""


@dataclass(frozen=True)
class FilePart:
    """A part of a file; `told` hears up to where in the file it has gone out."""

    path: Path
    start: int
    size: int
    told: Callable[[int], None] = _nobody

    @classmethod
    def whole(cls, path: Path) -> "FilePart":
        """Return all of a file."""
        return cls(path, 0, path.stat().st_size)

    def pieces(self) -> Generator[tuple[bytes, int], None, None]:
        """Read it piece by piece; beside each stands where in the file it ends."""
        at, end = self.start, self.start + self.size
        with self.path.open("rb") as file:
            file.seek(at)
            while piece := file.read(min(PIECE_BYTES, end - at)):
                at += len(piece)
                yield piece, at


@dataclass(frozen=True)
class Request:
    """What goes out. `content` of a file is read anew on each attempt."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes | Path | FilePart | None = None


class Response(Protocol):
    """What comes back; header names are in lower case."""

    status: int
    headers: Mapping[str, str]

    def read(self) -> bytes:
        """Return the whole body and give the connection back."""
        ...

    def chunks(self) -> Iterator[bytes]:
        """Yield the body as it arrives."""
        ...

    def close(self) -> None:
        """Give up what was not read."""
        ...


class Transport(Protocol):
    """What the client needs of the outside world, time included."""

    def send(self, request: Request, limits: Timeout) -> Response:
        """Send and wait for the head of the answer."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait before the next attempt."""
        ...

    def close(self) -> None:
        """Close all connections."""
        ...


class HTTPTransport:
    """Connections by host, kept open between calls; may be shared by threads."""

    def __init__(self, *, ssl_context: ssl.SSLContext | None = None) -> None:
        self._ssl_context = ssl_context
        self._lock = threading.Lock()
        self._idle: dict[tuple[str, str], list[http.client.HTTPConnection]] = {}

    def send(self, request: Request, limits: Timeout) -> "HTTPResponse":
        """
        Send and wait for the head of the answer.

        Raises:
            APIConnectionError: No connection, or it broke.
            APITimeoutError: Nothing came in time.
        """
        parts = urlsplit(request.url)
        origin = (parts.scheme, parts.netloc)
        proxy = _proxy(parts.scheme, parts.hostname or "", request.url)
        target = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
        if proxy and parts.scheme == "http":
            target = request.url
            identity = _proxies().headers(urlsplit(proxy))
            request = replace(request, headers={**request.headers, **identity})
        connection = self._take(origin)
        try:
            if connection is None:
                connection = self._connect(request.url, proxy, limits)
            connection.timeout = limits.read_s
            if connection.sock is not None:
                connection.sock.settimeout(limits.read_s)
            # A server that refuses a body answers before it has read it all, and hangs up.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                _write(connection, request, target)
            answer = connection.getresponse()
        except BaseException as error:
            if connection is not None:
                connection.close()
            if isinstance(error, OSError | http.client.HTTPException):
                raise failure(error, request.url) from error
            raise
        return HTTPResponse(answer, connection, request.url, lambda: self._give(origin, connection))

    def sleep(self, seconds: float) -> None:
        """Wait before the next attempt."""
        time.sleep(seconds)

    def close(self) -> None:
        """Close all idle connections."""
        with self._lock:
            idle, self._idle = self._idle, {}
        for connections in idle.values():
            for connection in connections:
                connection.close()

    def _take(self, origin: tuple[str, str]) -> http.client.HTTPConnection | None:
        while True:
            with self._lock:
                kept = self._idle.get(origin)
                connection = kept.pop() if kept else None
            # A readable idle connection was closed by the other side: writing to it would be lost.
            if connection is None or not _readable(connection):
                return connection
            connection.close()

    def _give(self, origin: tuple[str, str], connection: http.client.HTTPConnection) -> None:
        with self._lock:
            kept = self._idle.setdefault(origin, [])
            if len(kept) < MAX_IDLE and connection.sock is not None:
                kept.append(connection)
                return
        connection.close()

    def _connect(self, url: str, proxy: str | None, limits: Timeout) -> http.client.HTTPConnection:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        via = urlsplit(proxy) if proxy else None
        near = (via.hostname or "", via.port) if via else (host, port)
        if parts.scheme == "https":
            if self._ssl_context is None:
                self._ssl_context = ssl.create_default_context()
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                *near, timeout=limits.connect_s, context=self._ssl_context
            )
            if via:
                connection.set_tunnel(host, port or 443, _proxies().headers(via))
        else:
            connection = http.client.HTTPConnection(*near, timeout=limits.connect_s)
        connection.connect()
        return connection


class HTTPResponse:
    """An answer whose body is still on its connection."""

    def __init__(
        self,
        answer: http.client.HTTPResponse,
        connection: http.client.HTTPConnection,
        url: str,
        give_back: "GiveBack",
    ) -> None:
        self.status = answer.status
        self.headers: Mapping[str, str] = {
            name.lower(): value for name, value in answer.getheaders()
        }
        self._answer = answer
        self._connection = connection
        self._url = url
        self._give_back = give_back

    def read(self) -> bytes:
        """Return the whole body and give the connection back."""
        return b"".join(self.chunks())

    def chunks(self) -> Iterator[bytes]:
        """
        Yield the body as it arrives.

        Raises:
            APIConnectionError: It broke off before its end.
        """
        try:
            while piece := self._answer.read1(65_536):
                yield piece
            # `read1` takes the end of the connection for the end of the body.
            if self._answer.length:
                raise http.client.IncompleteRead(b"", self._answer.length)
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise failure(error, self._url) from error
        self._answer.close()
        if self._answer.will_close:
            self._connection.close()
        else:
            self._give_back()

    def close(self) -> None:
        """Give up what was not read; the connection cannot be used again."""
        if not self._answer.isclosed():
            self._answer.close()
            self._connection.close()


class GiveBack(Protocol):
    """Returns a connection to its pool."""

    def __call__(self) -> None:
        """Do so."""
        ...


def failure(error: Exception, url: str) -> APIConnectionError:
    """Say what a broken exchange means, in the same words for every transport."""
    parts = urlsplit(url)
    address = f"{parts.scheme}://{parts.netloc}"
    if isinstance(error, TimeoutError):
        return APITimeoutError(
            f"{address} did not answer in time",
            code="timeout",
            fix="raise `timeout=`, ask for less, or look at `towpath health`",
        )
    if isinstance(error, ssl.SSLError):
        reason = getattr(error, "verify_message", "") or error.reason or str(error)
        return APIConnectionError(
            f"no trusted connection to {address}: {reason}",
            code="tls_failed",
            fix="name the organisation's authority in SSL_CERT_FILE, or pass `ssl_context=`",
        )
    if isinstance(error, ConnectionRefusedError):
        return APIConnectionError(
            f"nothing answers at {address}",
            code="connection_refused",
            fix="start it with `towpath up`, or correct the address with `towpath login`",
        )
    reason = str(error) or type(error).__name__
    return APIConnectionError(
        f"the connection to {address} failed: {reason}",
        code="connection_failed",
        fix="check the address and the network: `towpath doctor`",
    )


def _write(connection: http.client.HTTPConnection, request: Request, target: str) -> None:
    headers = dict(request.headers)
    content = request.content
    if isinstance(content, Path):
        content = FilePart.whole(content)
    if isinstance(content, FilePart):
        headers["content-length"] = str(content.size)
        with contextlib.closing(_pieces(content)) as pieces:
            connection.request(request.method, target, body=pieces, headers=headers)
        return
    connection.request(request.method, target, body=content, headers=headers)


def _pieces(part: FilePart) -> Generator[bytes, None, None]:
    for piece, end in part.pieces():
        yield piece
        part.told(end)


def _readable(connection: http.client.HTTPConnection) -> bool:
    sock = connection.sock
    if sock is None:
        return True
    with selectors.DefaultSelector() as selector:
        selector.register(sock, selectors.EVENT_READ)
        return bool(selector.select(0))


def _proxy(scheme: str, host: str, url: str) -> str | None:
    if is_loopback(url):
        return None
    found: str | None = _proxies().find(scheme, host)
    return found


def _proxies() -> Any:
    return importlib.import_module("towpath.proxies")
