"""What can go wrong between us and a bucket, on real servers: it is named, and nothing is lost."""

import asyncio
import contextlib
import os
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from buckets import BucketServer
from streams import digest_of, read, stream

from towpath_server.adapters.objectstore.errors import (
    BucketMissing,
    DigestMismatch,
    StorageDenied,
    StorageFailed,
    StorageFull,
)
from towpath_server.adapters.objectstore.s3 import S3Store
from towpath_server.adapters.objectstore.store import ArtifactStore, StoredFile
from towpath_server.core.secret import Secret

MIB = 1 << 20
Open = Callable[..., ArtifactStore]


async def every_way(store: ArtifactStore) -> list[Callable[[], object]]:
    content = os.urandom(20 * MIB)
    digest = digest_of(content)
    return [
        lambda: store.put(digest, stream(content)),
        lambda: store.put(digest_of(b"x"), stream(b"x")),
        lambda: store.take(stream(b"y")),
        lambda: store.size(digest),
        lambda: store.tree([StoredFile("a", digest, 20 * MIB)]),
        lambda: store.append("upl_1", 0, stream(content)),
        lambda: read(store, digest),
        lambda: store.remove(digest, older_than_s=0),
    ]


async def test_wrong_credentials_are_named(in_bucket: Open) -> None:
    store = in_bucket(secret_access_key=Secret("wrong"))

    for way in await every_way(store):
        with pytest.raises(StorageDenied) as refused:
            await way()
        assert "refuses the platform's credentials" in refused.value.detail
        assert "TOWPATH_ARTIFACTS__SECRET_ACCESS_KEY" in (refused.value.fix or "")
        assert "wrong" not in refused.value.detail + str(refused.value.log)


async def test_a_bucket_that_is_absent_is_named(in_bucket: Open) -> None:
    store = in_bucket(url="s3://no-such-bucket/below")

    with pytest.raises(BucketMissing, match="no bucket for `s3://no-such-bucket/below/artifacts`"):
        await store.received("upl_1")
    with pytest.raises(BucketMissing):
        [found async for found in store.aged(0)]


@pytest.mark.timeout(120)  # it starts a server of its own, and waits for retries
async def test_a_store_that_is_away_is_named_and_comes_back(
    own_server: BucketServer, in_own: Open
) -> None:
    store = in_own()
    blob = await store.take(stream(b"weights"))
    await store.append("upl_1", 0, stream(b"half"))
    tree = await store.tree([StoredFile("a", blob.digest, 7)])
    own_server.stop()

    with pytest.raises(StorageFailed) as refused:
        await store.size(blob.digest)
    # what runs here goes on without it
    assert await store.tree([StoredFile("a", blob.digest, 7)]) == tree
    own_server.start()

    assert "cannot be read or written" in refused.value.detail
    assert "TOWPATH_ARTIFACTS__ENDPOINT" in (refused.value.fix or "")
    assert await read(store, blob.digest) == b"weights"
    assert await store.received("upl_1") == 4


async def test_a_corrupted_object_is_never_served(
    in_bucket: Open, bucket_server: BucketServer, prefix: str
) -> None:
    store = in_bucket()
    content = os.urandom(9 * MIB)
    blob = await store.take(stream(content))
    (name,) = bucket_server.objects(f"{prefix}/below/artifacts/blobs")
    bucket_server.overwrite(name, content[:-1] + bytes([content[-1] ^ 1]))

    with pytest.raises(DigestMismatch):
        await store.tree([StoredFile("a", blob.digest, blob.size)])
    given = 0
    with pytest.raises(DigestMismatch):
        async for piece in store.chunks(blob.digest):
            given += len(piece)

    assert given < blob.size


@pytest.mark.timeout(120)  # what is cut is tried again, later each time
async def test_transfers_that_are_cut_go_on(in_bucket: Open, bucket_server: BucketServer) -> None:
    """Something between cuts every connection after a while; parts are small enough to get by."""
    content = os.urandom(40 * MIB)
    async with cutting(bucket_server.port, after=20 * MIB) as (port, cuts):
        store = in_bucket(endpoint=f"http://127.0.0.1:{port}")
        blob = await store.take(stream(content))

        tree = await store.tree([StoredFile("a", blob.digest, blob.size)])

        assert digest_of((tree / "a").read_bytes()) == blob.digest
        assert cuts


@pytest.mark.timeout(120)  # what is cut is tried again, later each time
async def test_transfers_that_are_always_cut_leave_nothing(
    in_bucket: Open, bucket_server: BucketServer, prefix: str
) -> None:
    content = os.urandom(24 * MIB)
    async with cutting(bucket_server.port, after=2 * MIB) as (port, _):
        store = in_bucket(endpoint=f"http://127.0.0.1:{port}")

        with pytest.raises(StorageFailed):
            await store.put(digest_of(content), stream(content))

    assert bucket_server.objects(f"{prefix}/below/artifacts/blobs") == {}


async def test_the_cache_keeps_to_its_bound(in_bucket: Open, tmp_path: Path) -> None:
    """What was asked for the longest ago makes room; what is in use stays."""
    store = in_bucket(cache_bytes=8 * MIB)
    blobs = [await store.take(stream(os.urandom(3 * MIB))) for _ in range(4)]
    trees = []
    for number, blob in enumerate(blobs):
        tree = await store.tree([StoredFile("a", blob.digest, blob.size)])
        trees.append(tree)
        os.utime(tree, (number, number) if number != 1 else None)  # asked for long ago, but one

    there = [tree.exists() for tree in trees]
    kept = sum(path.stat().st_size for path in (tmp_path / "artifacts/blobs").rglob("*/*/*"))

    assert there == [False, True, False, True]
    assert kept <= 8 * MIB


async def test_two_who_need_a_model_fetch_it_once(in_bucket: Open) -> None:
    first = in_bucket()
    blob = await first.take(stream(os.urandom(9 * MIB)))
    told: list[int] = []
    files = [StoredFile("a", blob.digest, blob.size)]

    trees = await asyncio.gather(*(first.tree(files, progress=told.append) for _ in range(4)))

    assert len(set(trees)) == 1
    assert sum(told) == blob.size


async def test_a_machine_without_room_says_so(in_bucket: Open) -> None:
    """A small file system of its own, as a disk that is nearly full."""
    with small_disk() as folder:
        store = in_bucket(folder=str(folder / "artifacts"))
        content = os.urandom(6 * MIB)
        await store.put(digest_of(content), stream(content))

        with pytest.raises(StorageFull, match="disk of the artifact store is full"):
            await store.tree([StoredFile("a", digest_of(content), 6 * MIB)])
        left = [path for path in folder.rglob("*") if path.is_file()]

        assert left == []
        assert isinstance(store, S3Store)


@contextlib.contextmanager
def small_disk() -> Iterator[Path]:
    """Mount a file system of 4 MiB, where that is allowed."""
    with tempfile.TemporaryDirectory() as folder:
        made = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", folder],
            capture_output=True,
            check=False,
        )
        if made.returncode:
            pytest.skip("a file system can only be mounted by root: " + made.stderr.decode())
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", "-l", folder], check=True)


@contextlib.asynccontextmanager
async def cutting(port: int, *, after: int) -> AsyncIterator[tuple[int, list[int]]]:
    """Relay to a port, and cut each connection after so many bytes in either direction."""
    cuts: list[int] = []
    open_ends: set[asyncio.StreamWriter] = set()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, away = await asyncio.open_connection("127.0.0.1", port)
        open_ends.update((writer, away))
        left = after

        async def pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            nonlocal left
            with contextlib.suppress(OSError):
                while data := await source.read(65_536):
                    left -= len(data)
                    if left < 0:
                        cuts.append(after)
                        break
                    sink.write(data)
                    await sink.drain()
            for one in (writer, away):
                one.transport.abort()

        await asyncio.gather(pump(reader, away), pump(there, writer))

    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], cuts
    finally:
        server.close()
        for one in open_ends:
            one.transport.abort()
        await asyncio.gather(*(one.wait_closed() for one in open_ends), return_exceptions=True)
