"""
The artifact store in a bucket of any S3-compatible server.

Objects are named by digest. An object appears only when its multipart upload is completed, and that
happens only after all of its bytes had the right digest. Uploads that go on later are objects of
their own, named by where they begin, until they are finished: any control plane can go on with
them. What model servers read lies in a cache on this machine.
"""

from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import obstore
from obstore.exceptions import BaseError

from towpath_server.adapters.objectstore.address import BucketAddress
from towpath_server.adapters.objectstore.bucket import open_bucket, told
from towpath_server.adapters.objectstore.cache import Cache
from towpath_server.adapters.objectstore.errors import (
    ArtifactMissing,
    BucketMissing,
    DigestMalformed,
    DigestMismatch,
    OffsetConflict,
    StorageFailed,
)
from towpath_server.adapters.objectstore.store import (
    MAX_FILE_BYTES,
    Kept,
    Piece,
    Progress,
    StoredBlob,
    StoredFile,
    hex_of,
    safe_path,
    verified,
)
from towpath_server.adapters.objectstore.streams import (
    IN_FLIGHT,
    PART,
    Checked,
    Parts,
    ahead,
    call,
)

RANGE = 8 << 20  # as much of an object is asked for at a time; several such calls are in flight


class S3Store:
    """Content-addressed objects below a prefix of a bucket."""

    def __init__(
        self,
        address: BucketAddress,
        prefix: str,
        cache: Cache,
        *,
        max_file_bytes: int = MAX_FILE_BYTES,
    ) -> None:
        self._bucket = open_bucket(address, prefix)
        self._where = "/".join(part for part in (f"s3://{address.bucket}", prefix) if part)
        self._cache = cache
        self._max_file_bytes = max_file_bytes

    def prepare(self) -> None:
        """Make the cache's folders; the bucket is asked when it is needed."""
        self._cache.prepare()

    async def size(self, digest: str) -> int | None:
        """Return how many bytes are stored under `digest`; none when it is not there."""
        name = _blob(digest)
        try:
            with self._remote(digest):
                return (await obstore.head_async(self._bucket, name))["size"]
        except ArtifactMissing:
            return None

    async def put(self, digest: str, chunks: AsyncIterator[Piece]) -> int:
        """
        Store a stream under its digest; return its size.

        Raises:
            DigestMismatch: The stream has another digest; nothing is kept.
            ArtifactTooLarge: It is longer than one file may be.
            StorageFull, StorageFailed, StorageDenied, BucketMissing: The bucket does not take it.
        """
        name, checked = _blob(digest), Checked(chunks, digest, self._max_file_bytes)
        first = await checked.first()
        try:
            with self._remote(digest):
                if checked.ended:
                    await obstore.put_async(self._bucket, name, first, use_multipart=False)
                else:
                    await obstore.put_async(
                        self._bucket,
                        name,
                        checked.rest(first),
                        chunk_size=PART,
                        max_concurrency=IN_FLIGHT,
                    )
        except Exception as error:
            if checked.failure is not None:  # the stream's own, not the bucket's
                raise checked.failure from error
            raise
        return checked.size

    async def take(self, chunks: AsyncIterator[bytes]) -> StoredBlob:
        """
        Store a stream whose digest its sender does not know; return digest and size.

        Raises:
            ArtifactTooLarge: It is longer than one file may be.
            StorageFull: There is no room for it.
        """
        async with self._cache.spooled(chunks) as (blob, content):
            await self.put(blob.digest, self._cache.read(content))
            return blob

    async def chunks(
        self, digest: str, *, offset: int = 0, length: int | None = None
    ) -> AsyncIterator[bytes]:
        """
        Read a stored file, or a part of it, in pieces; a whole one is checked against its digest.

        Raises:
            ArtifactMissing: It is not in the store.
            DigestMismatch: It was altered; the last piece is not given.
        """
        size = await self._known_size(digest)
        end = size if length is None else min(size, offset + length)
        pieces = self._ranges(_blob(digest), offset, end)
        whole = (offset, end) == (0, size)
        async for piece in verified(pieces, digest) if whole else pieces:
            yield bytes(piece)

    async def _unverified(self, digest: str) -> AsyncIterator[Piece]:
        """Read a stored file for the cache, which checks what it takes itself."""
        async for piece in self._ranges(_blob(digest), 0, await self._known_size(digest)):
            yield piece

    async def _known_size(self, digest: str) -> int:
        size = await self.size(digest)
        if size is None:
            raise ArtifactMissing(digest)
        return size

    async def text(self, digest: str, *, limit: int) -> str:
        """Read a small stored file as text, for model cards and the like."""
        data = b"".join([piece async for piece in self.chunks(digest, length=limit)])
        return data.decode("utf-8", errors="replace")

    async def import_file(self, source: Path) -> StoredFile:
        """
        Take over a file of this machine; trusted callers only.

        Raises:
            ArtifactMissing: There is no such file.
        """
        blob = await self._cache.measure(source)
        if await self.size(blob.digest) != blob.size:
            await self.put(blob.digest, self._cache.read(source))
        return StoredFile(source.name, blob.digest, blob.size)

    async def tree(self, files: Sequence[StoredFile], *, progress: Progress | None = None) -> Path:
        """
        Return a folder of this machine that holds these files under their names, verified.

        Raises:
            ArtifactMissing: Bytes of one of the files are not in the store.
            DigestMismatch: The store's bytes were altered.
            StorageFull: This machine has no room for it.
        """
        return await self._cache.tree(files, self._unverified, progress)

    async def append(self, upload: str, offset: int, chunks: AsyncIterator[bytes]) -> int:
        """
        Add to an upload from `offset` on, which must be where it stands; return where it is now.

        What came in stays when the stream breaks off.

        Raises:
            OffsetConflict: It stands elsewhere; the error says where.
            StorageFull, StorageFailed, StorageDenied, BucketMissing: The bucket does not take it.
        """
        stands = await self.received(upload)
        if offset != stands:
            raise OffsetConflict(stands)
        parts = Parts(self._put_part, upload, offset, self._max_file_bytes)
        try:
            async for chunk in chunks:
                await parts.add(chunk)
        finally:
            await parts.flush()
        return parts.offset

    async def received(self, upload: str) -> int:
        """Return how many bytes of an upload are there, from its beginning and without a gap."""
        parts = await self._parts(upload)
        return parts[-1][0] + parts[-1][1] if parts else 0

    async def finish(self, upload: str, digest: str) -> int:
        """
        Store what an upload brought under its digest; return its size.

        Raises:
            DigestMismatch: It has another digest; the upload is gone.
        """
        parts = await self._parts(upload)

        async def content() -> AsyncIterator[Piece]:
            calls = [call(self._whole, _part(upload, offset)) for offset, _ in parts]
            async for piece in ahead(calls):
                yield piece

        try:
            return await self.put(digest, content())
        except DigestMismatch:
            await self.discard(upload)
            raise

    async def discard(self, upload: str) -> None:
        """Forget an upload; one that is not there is none."""
        with self._remote(upload):
            async for found in obstore.list(self._bucket, prefix=_part(upload, None)):
                for one in found:
                    await self._delete(one["path"])

    async def aged(self, older_than_s: float) -> AsyncIterator[Sequence[StoredBlob]]:
        """List in portions what came in, or came in anew, longer ago."""
        before = datetime.now(UTC) - timedelta(seconds=older_than_s)
        with self._remote("blobs"):
            async for found in obstore.list(self._bucket, prefix="blobs/sha256"):
                yield [
                    StoredBlob(f"sha256:{one['path'].rpartition('/')[2]}", one["size"])
                    for one in found
                    if one["last_modified"] < before
                ]

    async def remove(self, digest: str, *, older_than_s: float) -> bool:
        """Remove bytes unless they came in anew since; tell whether they went."""
        before = datetime.now(UTC) - timedelta(seconds=older_than_s)
        name = _blob(digest)
        try:
            with self._remote(digest):
                if (await obstore.head_async(self._bucket, name))["last_modified"] >= before:
                    return False
                await self._delete(name)
        except ArtifactMissing:
            return False
        return True

    async def forget_trees(self, keep: Collection[str], *, idle_s: float) -> None:
        """Remove cached folders that nobody asked for in a while."""
        await self._cache.forget(keep, idle_s=idle_s)

    def kept(self) -> Kept:
        """Measure what this machine has fetched of it."""
        return self._cache.kept()

    async def _ranges(self, name: str, start: int, end: int) -> AsyncIterator[Piece]:
        calls = [
            call(self._range, name, at, min(at + RANGE, end)) for at in range(start, end, RANGE)
        ]
        async for piece in ahead(calls):
            yield piece

    async def _range(self, name: str, start: int, end: int) -> Piece:
        with self._remote(name):
            found = await obstore.get_range_async(self._bucket, name, start=start, end=end)
        if len(found) != end - start:
            raise StorageFailed(cause=f"{name}: {len(found)} bytes came", where=self._where)
        return memoryview(found)

    async def _whole(self, name: str) -> Piece:
        with self._remote(name):
            return memoryview(await (await obstore.get_async(self._bucket, name)).bytes_async())

    async def _put_part(self, upload: str, offset: int, content: bytes) -> None:
        with self._remote(upload):
            await obstore.put_async(
                self._bucket, _part(upload, offset), content, use_multipart=False
            )

    async def _parts(self, upload: str) -> list[tuple[int, int]]:
        """List offset and size of the parts from the beginning on, as far as they join."""
        sizes: dict[int, int] = {}
        with self._remote(upload):
            async for found in obstore.list(self._bucket, prefix=_part(upload, None)):
                for one in found:
                    sizes[int(one["path"].rpartition("/")[2])] = one["size"]
        joined: list[tuple[int, int]] = []
        at = 0
        while size := sizes.get(at):
            joined.append((at, size))
            at += size
        return joined

    async def _delete(self, name: str) -> None:
        try:
            await obstore.delete_async(self._bucket, name)
        except FileNotFoundError:
            return  # another control plane removed it first

    @contextmanager
    def _remote(self, what: str) -> Iterator[None]:
        """Say what a bucket's refusal means for the caller."""
        try:
            yield
        except FileNotFoundError as error:
            if "nosuchbucket" in str(error).lower():
                raise BucketMissing(self._where, cause=str(error)) from error
            raise ArtifactMissing(what) from error
        except (BaseError, OSError) as error:
            raise told(error, self._where) from error


def _blob(digest: str) -> str:
    name = hex_of(digest)
    if name is None:
        raise DigestMalformed(digest)
    return f"blobs/sha256/{name[:2]}/{name}"


def _part(upload: str, offset: int | None) -> str:
    folder = f"uploads/{safe_path(upload)}"
    return folder if offset is None else f"{folder}/{offset:020d}"
