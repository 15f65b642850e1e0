"""Serving an application on a socket that somebody else bound, and closing in order."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import uvicorn
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from towpath_server.core.errors import InvalidRequest
from towpath_server.web.problems import MEDIA_TYPE

# The gateway keeps idle connections for a minute; ours must not be the side that closes first.
_KEEP_ALIVE_S = 300
# The gateway relays heads up to 32 KiB and adds its own fields.
_MAX_HEAD_BYTES = 64 * 1024
# Beyond this many at once a client is told to come back; a control plane has tens.
_MAX_CONCURRENT = 1_000
_BACKLOG = 1_024
_DATE_S = 1.0
# A start takes less than this, as long as the database answers.
_PATIENCE_S = 10.0


class _Unhurried(H11Protocol):
    """A connection that is not closed before its request has come; the drain's bound holds."""

    def shutdown(self) -> None:
        """End after the answer; at once where it was given."""
        if self.cycle is not None:
            super().shutdown()


class Server(uvicorn.Server):
    """Uvicorn, started and stopped by us: signals are the business of `main`."""

    def __init__(self, app: ASGIApp, *, drain_s: int, once: bool = False) -> None:
        """
        Serve nothing yet.

        Args:
            once: A connection takes one request. No caller then finds one closed that it kept, and
                the end of the process cuts none: what was accepted is answered.
        """
        super().__init__(
            uvicorn.Config(
                app,
                http=_Unhurried if once else "h11",
                headers=[("connection", "close")] if once else [],
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=_KEEP_ALIVE_S,
                timeout_graceful_shutdown=drain_s,
                h11_max_incomplete_event_size=_MAX_HEAD_BYTES,
                limit_concurrency=_MAX_CONCURRENT,
            )
        )
        self._stopping = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals alone."""
        yield

    async def main_loop(self) -> None:
        """Keep the `date` header up to date until told to stop; uvicorn wakes 10 times as often."""
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_DATE_S):
                    await self._stopping.wait()

    def stop(self) -> None:
        """Take no more connections, and end when the requests in flight have."""
        self.should_exit = True
        self._stopping.set()


class Gate:
    """
    Lets requests wait until the application behind it can work.

    Answers 503 once it is known that this takes longer, for instance without its database.
    """

    def __init__(self, reason: str) -> None:
        self._reason = reason
        self._app: ASGIApp | None = None
        self._known = asyncio.Event()

    def open(self, app: ASGIApp) -> None:
        """Let requests through from now on."""
        self._app = app
        self._known.set()

    def explain(self, reason: str) -> None:
        """Let nobody wait any longer, and say why."""
        self._reason = reason
        self._known.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: D102
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_S):
                await self._known.wait()
        if self._app is not None:
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        refused = JSONResponse(
            {
                "type": "/docs/problems#unavailable",
                "title": "Not available right now",
                "status": 503,
                "detail": f"The control plane is starting: {self._reason}.",
                "instance": scope["path"],
                "code": "unavailable",
                "request_id": "",
                "fix": "Repeat the request after the time in `Retry-After`.",
            },
            503,
            {"retry-after": "1"},
            media_type=MEDIA_TYPE,
        )
        await refused(scope, receive, send)


def listener(name: str, descriptor: int | None, address: str | None) -> socket.socket:
    """
    Take over a listener, or bind one.

    Raises:
        InvalidRequest: It cannot be had.
    """
    try:
        return inherited(descriptor) if descriptor is not None else bind(address or "")
    except (OSError, ValueError) as error:
        raise InvalidRequest(
            f"The {name} listener cannot be had: {error}.",
            fix=f"Give `--{name} unix:PATH` or `--{name} HOST:PORT`.",
        ) from error


def inherited(descriptor: int) -> socket.socket:
    """Take over a listening socket that the parent process bound."""
    listener = socket.socket(fileno=descriptor)
    listener.setblocking(False)  # noqa: FBT003
    return listener


def bind(address: str) -> socket.socket:
    """
    Bind `unix:PATH` or `HOST:PORT` ourselves, for a control plane that runs apart.

    Raises:
        ValueError: The address is neither.
        OSError: It cannot be bound.
    """
    if address.startswith("unix:"):
        path = Path(address.removeprefix("unix:"))
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        path.chmod(0o600)
    else:
        host, separator, port = address.rpartition(":")
        if not separator or not port.isdigit():
            raise ValueError(f"`{address}` is neither `unix:PATH` nor `HOST:PORT`")
        host = host.strip("[]")
        listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, int(port)))
    listener.listen(_BACKLOG)
    listener.setblocking(False)  # noqa: FBT003
    return listener
