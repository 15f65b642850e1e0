"""A program that takes what it is told over HTTP, and answers as the test says."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Self


class Receiver:
    """Listens on loopback; keeps the head and the body of every request."""

    def __init__(self, status: str = "204 No Content", body: bytes = b"") -> None:
        self.status = status
        self.body = body
        self.port = 0
        self.taken: list[tuple[dict[str, str], bytes]] = []

    @property
    def url(self) -> str:
        return f"http://localhost:{self.port}/hook"

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Self]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[1:-2]
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in head)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.taken.append((headers, body))
        more = "location: http://169.254.169.254/\r\n" if self.status.startswith("3") else ""
        length = f"content-length: {len(self.body)}\r\n"
        writer.write(f"HTTP/1.1 {self.status}\r\n{more}{length}\r\n".encode() + self.body)
        with contextlib.suppress(ConnectionError):  # it does not want to hear all of it
            await writer.drain()
        writer.close()
