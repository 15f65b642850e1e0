"""Streams of bytes for tests of stores."""

import hashlib
from collections.abc import AsyncIterator

from towpath_server.adapters.objectstore.store import ArtifactStore


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


async def stream(content: bytes, piece: int = 700_000) -> AsyncIterator[bytes]:
    for start in range(0, len(content), piece):
        yield content[start : start + piece]


async def cut(content: bytes, piece: int = 700_000) -> AsyncIterator[bytes]:
    async for part in stream(content, piece):
        yield part
    raise ConnectionResetError("the caller went away")


async def read(store: ArtifactStore, digest: str, **more: int) -> bytes:
    return b"".join([piece async for piece in store.chunks(digest, **more)])
