"""The asyncio side of `transport`, on httpx2; loaded only when an async client is made."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Protocol

import httpx2

from towpath.auth import is_loopback
from towpath.errors import APIConnectionError
from towpath.transport import FilePart, Request, Timeout, failure

# Calls of one client that may run at once; more wait for a free connection.
MAX_CONNECTIONS = 1_000
MAX_KEPT = 100


class AsyncResponse(Protocol):
    """What comes back; header names are in lower case."""

    status: int
    headers: Mapping[str, str]

    async def read(self) -> bytes:
        """Return the whole body and give the connection back."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives."""
        ...

    async def close(self) -> None:
        """Give up what was not read."""
        ...


class AsyncTransport(Protocol):
    """What the async client needs of the outside world, time included."""

    async def send(self, request: Request, limits: Timeout) -> AsyncResponse:
        """Send and wait for the head of the answer."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait before the next attempt."""
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...


class AsyncHTTPTransport:
    """Connections of one event loop, kept open between calls."""

    def __init__(self, *, ssl_context: ssl.SSLContext | None = None) -> None:
        self._ssl_context = ssl_context
        self._clients: dict[bool, httpx2.AsyncClient] = {}

    async def send(self, request: Request, limits: Timeout) -> "AsyncHTTPResponse":
        """
        Send and wait for the head of the answer.

        Raises:
            APIConnectionError: No connection, or it broke.
            APITimeoutError: Nothing came in time.
        """
        client = self._client(loopback=is_loopback(request.url))
        headers = dict(request.headers)
        content: bytes | AsyncIterator[bytes] | None
        given = request.content
        if isinstance(given, Path):
            given = await asyncio.to_thread(FilePart.whole, given)
        if isinstance(given, FilePart):
            headers["content-length"] = str(given.size)
            content = _pieces(given)
        else:
            content = given
        outgoing = client.build_request(
            request.method,
            request.url,
            headers=headers,
            content=content,
            timeout=httpx2.Timeout(limits.read_s, connect=limits.connect_s),
        )
        try:
            answer = await client.send(outgoing, stream=True)
        except (httpx2.HTTPError, OSError) as error:
            raise failed(error, request.url) from error
        return AsyncHTTPResponse(answer, request.url)

    async def sleep(self, seconds: float) -> None:
        """Wait before the next attempt."""
        await asyncio.sleep(seconds)

    async def close(self) -> None:
        """Close all connections."""
        clients, self._clients = self._clients, {}
        for client in clients.values():
            await client.aclose()

    def _client(self, *, loopback: bool) -> httpx2.AsyncClient:
        if loopback not in self._clients:
            self._clients[loopback] = httpx2.AsyncClient(
                verify=self._ssl_context or ssl.create_default_context(),
                trust_env=not loopback,
                limits=httpx2.Limits(
                    max_connections=MAX_CONNECTIONS, max_keepalive_connections=MAX_KEPT
                ),
            )
        return self._clients[loopback]


class AsyncHTTPResponse:
    """An answer whose body is still on its connection."""

    def __init__(self, answer: httpx2.Response, url: str) -> None:
        self.status = answer.status_code
        self.headers: Mapping[str, str] = {
            name.lower(): value for name, value in answer.headers.items()
        }
        self._answer = answer
        self._url = url

    async def read(self) -> bytes:
        """Return the whole body and give the connection back."""
        return b"".join([piece async for piece in self.chunks()])

    async def chunks(self) -> AsyncIterator[bytes]:
        """
        Yield the body as it arrives.

        Raises:
            APIConnectionError: It broke off before its end.
        """
        try:
            async for piece in self._answer.aiter_raw():
                yield piece
        except (httpx2.HTTPError, OSError) as error:
            raise failed(error, self._url) from error
        finally:
            await self._answer.aclose()

    async def close(self) -> None:
        """Give up what was not read."""
        await self._answer.aclose()


def failed(error: Exception, url: str) -> APIConnectionError:
    """Find the cause that the standard library would have raised, and say the same of it."""
    if isinstance(error, httpx2.TimeoutException):
        return failure(TimeoutError(), url)
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError | ConnectionRefusedError):
            return failure(cause, url)
        cause = cause.__cause__ or cause.__context__
    if "All connection attempts failed" in str(error):
        return failure(ConnectionRefusedError(), url)
    return failure(error, url)


async def _pieces(part: FilePart) -> AsyncIterator[bytes]:
    with contextlib.closing(part.pieces()) as pieces:
        while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
            yield piece[0]
            part.told(piece[1])
