"""Content is kept once, under its digest, whole or not at all."""

import errno
import hashlib
import os
import resource
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath_server.adapters.objectstore import files as module
from towpath_server.adapters.objectstore.errors import (
    ArtifactMissing,
    ArtifactTooLarge,
    DigestMalformed,
    DigestMismatch,
    StorageFailed,
    StorageFull,
)
from towpath_server.adapters.objectstore.folder import FolderStore
from towpath_server.adapters.objectstore.store import (
    CHUNK,
    StoredFile,
    list_digest,
    safe_path,
)


def digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


async def stream(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path / "artifacts", max_file_bytes=4 << 20)


async def test_a_stream_is_stored_under_its_digest(store: FolderStore) -> None:
    content = os.urandom(3 << 20)
    digest = digest_of(content)

    size = await store.put(digest, stream(content[:1000], content[1000:]))
    again = await store.put(digest, stream(content))

    assert size == again == await store.size(digest) == len(content)


async def test_a_stream_with_another_digest_leaves_nothing(
    store: FolderStore, tmp_path: Path
) -> None:
    with pytest.raises(DigestMismatch):
        await store.put(digest_of(b"this"), stream(b"that"))

    assert files_in(tmp_path) == []


async def test_a_stream_that_breaks_off_leaves_nothing(store: FolderStore, tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x" * (2 << 20)
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await store.put(digest_of(b"x"), broken())

    assert files_in(tmp_path) == []


async def test_an_endless_stream_is_cut_off(store: FolderStore, tmp_path: Path) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 65_536

    with pytest.raises(ArtifactTooLarge):
        await store.put(digest_of(b"x"), endless())

    assert files_in(tmp_path) == []


@pytest.mark.parametrize(
    ("number", "error"), [(errno.ENOSPC, StorageFull), (errno.EIO, StorageFailed)]
)
async def test_a_disk_that_fails_is_named(
    store: FolderStore, monkeypatch: pytest.MonkeyPatch, number: int, error: type[Exception]
) -> None:
    def failing(_descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    # no file system here can be made full without being root: the call that meets it is replaced
    monkeypatch.setattr(module.os, "fsync", failing)

    with pytest.raises(error):
        await store.put(digest_of(b"x"), stream(b"x"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_real_full_disk_is_named() -> None:
    with (
        pytest.raises(StorageFull),
        module.disk(),
        Path("/dev/full").open("wb", buffering=0) as file,
    ):
        file.write(b"x")


@contextmanager
def no_file_beyond(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond a size."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_an_upload_goes_on_after_a_piece_that_found_no_room(store: FolderStore) -> None:
    """A piece is hashed while it is written, so a failed one must not count for the digest."""
    first, second = os.urandom(CHUNK), os.urandom(CHUNK)
    with no_file_beyond(CHUNK), pytest.raises(StorageFailed):
        await store.append("upload", 0, stream(first, second))

    stands = await store.received("upload")
    await store.append("upload", stands, stream(second))

    assert stands == CHUNK
    assert await store.finish("upload", digest_of(first + second)) == 2 * CHUNK


@pytest.mark.parametrize(
    "digest", ["", "sha256:", "md5:abc", "sha256:../../etc/passwd", f"sha256:{'A' * 64}"]
)
async def test_what_is_no_digest_is_refused(store: FolderStore, digest: str) -> None:
    with pytest.raises(DigestMalformed):
        await store.size(digest)


async def test_a_file_of_this_machine_is_taken_over_without_a_copy(
    store: FolderStore, tmp_path: Path
) -> None:
    source = tmp_path / "model.gguf"
    source.write_bytes(b"weights")

    stored = await store.import_file(source)
    tree = await store.tree([stored])

    assert stored == StoredFile("model.gguf", digest_of(b"weights"), 7)
    assert (tree / "model.gguf").stat().st_ino == source.stat().st_ino


async def test_a_missing_source_is_named(store: FolderStore, tmp_path: Path) -> None:
    with pytest.raises(ArtifactMissing, match="absent"):
        await store.import_file(tmp_path / "absent.onnx")


async def test_a_tree_holds_the_files_under_their_names(store: FolderStore) -> None:
    files = []
    for path in ("model.onnx", "tokenizer/vocab.txt"):
        content = path.encode()
        await store.put(digest_of(content), stream(content))
        files.append(StoredFile(path, digest_of(content), len(content)))

    tree = await store.tree(files)
    again = await store.tree(list(reversed(files)))

    assert tree == again
    assert (tree / "tokenizer" / "vocab.txt").read_bytes() == b"tokenizer/vocab.txt"


async def test_altered_content_is_never_served(store: FolderStore, tmp_path: Path) -> None:
    await store.put(digest_of(b"weights"), stream(b"weights"))
    blob = next(path for path in files_in(tmp_path))
    blob.write_bytes(b"wEights")

    with pytest.raises(DigestMismatch):
        await store.tree([StoredFile("model.onnx", digest_of(b"weights"), 7)])


async def test_the_next_start_removes_half_uploads(store: FolderStore, tmp_path: Path) -> None:
    incoming = tmp_path / "artifacts" / "incoming"
    incoming.mkdir(parents=True)
    (incoming / "half").write_bytes(b"x")

    store.prepare()

    assert files_in(tmp_path) == []


@pytest.mark.parametrize(
    "path", ["", "/etc/passwd", "../up", "a/../../b", "a\\b", "a//b", "./a", "a\x00b", "a/"]
)
def test_paths_that_leave_their_folder_are_refused(path: str) -> None:
    with pytest.raises(ValueError, match="not a relative path"):
        safe_path(path)


@given(st.text(max_size=30))
def test_an_accepted_path_stays_within_its_folder(path: str) -> None:
    """Whatever is accepted, joined to a folder, lies in that folder."""
    try:
        found = safe_path(path)
    except ValueError:
        return
    joined: Any = os.path.normpath(Path("/store/tree") / found)
    assert joined.startswith("/store/tree/")


@given(st.permutations(["a", "b", "c", "d"]))
def test_the_digest_of_a_list_does_not_depend_on_its_order(paths: list[str]) -> None:
    """A model's digest names its content, however the files were listed."""
    files = [StoredFile(path, digest_of(path.encode()), 1) for path in paths]

    assert list_digest(files) == list_digest(sorted(files, key=lambda file: file.path))


async def test_a_stream_of_unknown_digest_comes_back_as_it_went_in(store: FolderStore) -> None:
    content = os.urandom(3 << 20)

    taken = await store.take(stream(content[:1000], content[1000:]))
    read = b"".join([piece async for piece in store.chunks(taken.digest)])

    assert (taken.digest, taken.size) == (digest_of(content), len(content))
    assert read == content


async def test_what_is_not_there_cannot_be_read(store: FolderStore) -> None:
    with pytest.raises(ArtifactMissing):
        [piece async for piece in store.chunks("sha256:" + "0" * 64)]
