"""Bytes of models: uploads that go on after a cut, and what nothing needs any more."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from towpath import errors
from towpath.transport import FilePart
from towpath.types import Collected

# Up to here one call costs less than the three of an upload in pieces.
WHOLE_BYTES = 32 * 2**20
# What arrives stays, so a cut costs none of it; what stands between may hold back a whole piece.
PIECE_BYTES = 256 * 2**20
# Attempts in a row, each with the client's own retries, in which not one byte came further.
FRUITLESS = 5

Progress = Callable[[int, int], None]
"""Hears how many bytes have gone out, and of how many; after a cut, of fewer than before."""


class AsyncSender(Protocol):
    """What uploads need of the client."""

    async def call(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        content: bytes | Path | FilePart | None = None,
        query: Any = None,
        headers: Any = None,
    ) -> tuple[Any, Any]:
        """Make a call and return the decoded answer with its headers."""
        ...


class AsyncArtifacts:
    """Content by digest."""

    def __init__(self, client: AsyncSender) -> None:
        self._client = client

    async def has(self, digest: str) -> bool:
        """Tell whether content of this digest (`sha256:…`) need not be uploaded."""
        try:
            await self._client.call("HEAD", f"/api/v1/blobs/{digest}")
        except errors.NotFoundError:
            return False
        return True

    async def upload(self, path: Path, *, digest: str, progress: Progress | None = None) -> None:
        """
        Upload a file; the platform checks that its content has the digest.

        What is large goes in pieces. After a cut it goes on where it stands, in this call and in
        the next one.

        Args:
            progress: Hears how many bytes have gone out, and of how many.

        Raises:
            APIConnectionError: The platform stays away; a later call goes on.
            UnprocessableError: The file's content has another digest.
        """
        size = _size(path)
        if size > WHOLE_BYTES:
            await self._send(path, digest, size, progress)
            return
        await self._client.call("PUT", f"/api/v1/blobs/{digest}", content=path)
        if progress is not None:
            progress(size, size)

    async def collect(self, *, dry_run: bool = False) -> Collected:
        """
        Remove the content that nothing needs; the platform's own people may.

        Args:
            dry_run: Only say what would go.
        """
        asked = {"dry_run": "true"} if dry_run else None
        return Collected.of(
            *await self._client.call("POST", "/api/v1/artifacts/collect", query=asked)
        )

    async def _send(self, path: Path, digest: str, size: int, progress: Progress | None) -> None:
        begun = {"digest": digest, "size": size}
        upload, _ = await self._client.call("POST", "/api/v1/uploads", body=begun)
        at, where = upload["offset"], f"/api/v1/uploads/{upload['id']}"
        fruitless = 0

        def told(there: int) -> None:
            if progress is not None:
                progress(there, size)

        while at < size:
            told(at)
            piece = FilePart(path, at, min(PIECE_BYTES, size - at), told)
            try:
                upload, _ = await self._client.call(
                    "PATCH", where, content=piece, headers={"upload-offset": str(at)}
                )
            except (errors.APIConnectionError, errors.ConflictError):
                if fruitless >= FRUITLESS:
                    raise
                upload, _ = await self._client.call("GET", where)
            fruitless = 0 if upload["offset"] > at else fruitless + 1
            at = upload["offset"]
        await self._client.call("POST", f"{where}/finish")
        told(size)


def _size(path: Path) -> int:
    return path.stat().st_size
