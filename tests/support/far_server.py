"""An HTTP server elsewhere that answers as the test says: redirects, ranges, cuts, bodies without an end."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ssl import SSLContext

_RANGE = re.compile(r"bytes=(\d+)-")


@dataclass(frozen=True)
class Asked:
    """A request, as it came."""

    method: str
    target: str
    headers: Mapping[str, str]

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]


@dataclass(frozen=True)
class Reply:
    """What is answered."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut_after: int | None = None
    """Close the connection after so many bytes of the body."""
    silent: bool = False
    """Say nothing more after `cut_after`, and keep the connection."""
    endless: bool = False
    """Say no length, and repeat the body for as long as somebody reads."""


def file(asked: Asked, data: bytes, *, ranges: bool = True, **more: object) -> Reply:
    """Answer a file, or the part of it that was asked for."""
    wanted = _RANGE.fullmatch(asked.headers.get("range", ""))
    headers = dict(more.pop("headers", {}))
    if wanted is None or not ranges:
        return Reply(200, data, headers, **more)
    start = int(wanted[1])
    headers["content-range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
    return Reply(206, data[start:], headers, **more)


def redirect(to: str, status: int = 302) -> Reply:
    return Reply(status, headers={"location": to})


class FarServer:
    """Listens on loopback, by TLS where it has a context; keeps every request that came."""

    def __init__(self, answer: Callable[[Asked], Reply], tls: SSLContext | None = None) -> None:
        self.answer = answer
        self.tls = tls
        self.port = 0
        self.asked: list[Asked] = []
        self._open: dict[asyncio.Task[None] | None, asyncio.StreamWriter] = {}

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def name(self) -> str:
        """The same place, by another name."""
        return f"{'https' if self.tls else 'http'}://localhost:{self.port}"

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["FarServer"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.tls)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for writer in self._open.values():
                writer.transport.abort()
            await asyncio.gather(*self._open, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        self._open[task] = writer
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while await self._one(reader, writer):
                pass
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        del self._open[task]

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; tell whether the connection goes on."""
        first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[:-2]
        method, target, _ = first.split(" ")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        asked = Asked(method, target, headers)
        self.asked.append(asked)
        reply = self.answer(asked)
        length = {} if reply.endless else {"content-length": str(len(reply.body))}
        sent = "".join(f"{n}: {v}\r\n" for n, v in {**length, **reply.headers}.items())
        writer.write(f"HTTP/1.1 {reply.status} Said\r\n{sent}\r\n".encode())
        body = b"" if method == "HEAD" else reply.body[: reply.cut_after]
        writer.write(body)
        await writer.drain()
        if reply.silent:
            await reader.read()
        while reply.endless:
            writer.write(reply.body)
            await writer.drain()
        return reply.cut_after is None
