"""Streams to and from a bucket: checked on their way, cut into parts, several parts in flight."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

from towpath_server.adapters.objectstore.errors import ArtifactTooLarge, DigestMismatch
from towpath_server.adapters.objectstore.store import CHUNK, Piece

PART = 16 << 20  # S3 takes 10,000 parts: room for 156 GiB
IN_FLIGHT = 4  # fill a 10 Gbit/s line within a data centre
_SMALL = 1 << 20  # up to here one call is cheaper than a multipart upload's three


class Checked:
    """A stream on its way to the bucket: bounded, and refused at its end if it is wrong."""

    def __init__(self, chunks: AsyncIterator[Piece], digest: str, most: int) -> None:
        self._chunks = chunks
        self._digest = digest
        self._most = most
        self._hash = hashlib.sha256()
        self.size = 0
        self.ended = False
        self.failure: Exception | None = None

    async def first(self) -> bytes:
        """Return the beginning; `ended` says whether that was all, and then it is right."""
        held: list[Piece] = []
        while self.size <= _SMALL:
            chunk = await self._next()
            if chunk is None:
                self.ended = True
                self._verify()
                break
            held.append(chunk)
        return b"".join(held)

    async def rest(self, first: bytes) -> AsyncIterator[Piece]:
        """
        Give the beginning, and what follows.

        What is wrong is raised inside the upload, which is then aborted, and kept in `failure`.
        """
        try:
            yield first
            while (chunk := await self._next()) is not None:
                yield chunk
            self._verify()
        except Exception as error:
            self.failure = error
            raise

    async def _next(self) -> Piece | None:
        async for chunk in self._chunks:
            if not chunk:
                continue
            self.size += len(chunk)
            if self.size > self._most:
                raise ArtifactTooLarge(self._most)
            if len(chunk) >= CHUNK:
                await asyncio.to_thread(self._hash.update, chunk)
            else:
                self._hash.update(chunk)
            return chunk
        return None

    def _verify(self) -> None:
        actual = f"sha256:{self._hash.hexdigest()}"
        if actual != self._digest:
            raise DigestMismatch(self._digest, actual)


class Parts:
    """Cuts a stream into objects, several of which are on their way at a time."""

    def __init__(
        self, put: Callable[[str, int, bytes], Awaitable[None]], upload: str, offset: int, most: int
    ) -> None:
        self._put = put
        self._upload = upload
        self._most = most
        self._held: list[bytes] = []
        self._waiting = 0
        self._sent: list[asyncio.Task[None]] = []
        self.offset = offset

    async def add(self, chunk: bytes) -> None:
        """Take a piece, and send a part when there is enough for one."""
        self._held.append(chunk)
        self._waiting += len(chunk)
        if self.offset + self._waiting > self._most:
            raise ArtifactTooLarge(self._most)
        if self._waiting >= PART:
            self._send()
            if len(self._sent) >= IN_FLIGHT:
                await self._sent.pop(0)

    async def flush(self) -> None:
        """Send the rest, and wait for all of it."""
        if self._waiting:
            self._send()
        done = await asyncio.gather(*self._sent, return_exceptions=True)
        for failed in done:
            if isinstance(failed, BaseException):
                raise failed

    def _send(self) -> None:
        content = b"".join(self._held)
        self._sent.append(
            asyncio.create_task(_awaited(self._put(self._upload, self.offset, content)))
        )
        self.offset += len(content)
        self._held, self._waiting = [], 0


Call = Callable[[], Awaitable[Piece]]


def call(function: Callable[..., Awaitable[Piece]], *arguments: Any) -> Call:
    """Bind a call that is made later."""
    return lambda: function(*arguments)


async def ahead(calls: Sequence[Call]) -> AsyncIterator[Piece]:
    """Make calls in order, several at a time, and give their answers in order."""
    running: list[asyncio.Task[Piece]] = []
    try:
        for call in calls:
            running.append(asyncio.create_task(_awaited(call())))
            if len(running) >= IN_FLIGHT:
                yield await running.pop(0)
        while running:
            yield await running.pop(0)
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


async def _awaited(call: Awaitable[Any]) -> Any:
    return await call
