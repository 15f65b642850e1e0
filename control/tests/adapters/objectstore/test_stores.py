"""What every store promises, on a folder and on two real S3 servers."""

import os
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from pathlib import Path

import pytest
from streams import cut, digest_of, read, stream

from towpath_server.adapters.objectstore import removals
from towpath_server.adapters.objectstore.errors import (
    ArtifactMissing,
    ArtifactTooLarge,
    BeingRemoved,
    DigestMismatch,
    OffsetConflict,
)
from towpath_server.adapters.objectstore.store import ArtifactStore, StoredFile
from towpath_server.core.db import Database, Tx

MIB = 1 << 20
SIZES = (0, 1, MIB, 3 * MIB + 7, 21 * MIB)


@pytest.mark.parametrize("size", SIZES)
async def test_what_goes_in_comes_out(either: ArtifactStore, size: int) -> None:
    content = os.urandom(size)

    stored = await either.put(digest_of(content), stream(content))

    assert stored == size == await either.size(digest_of(content))
    assert await read(either, digest_of(content)) == content


async def test_a_part_is_read_without_the_rest(either: ArtifactStore) -> None:
    content = os.urandom(20 * MIB)
    taken = await either.take(stream(content))

    middle = await read(either, taken.digest, offset=9 * MIB - 5, length=8 * MIB + 11)
    end = await read(either, taken.digest, offset=20 * MIB - 3, length=100)

    assert middle == content[9 * MIB - 5 : 17 * MIB + 6]
    assert end == content[-3:]


@pytest.mark.parametrize("size", [5, 21 * MIB])
async def test_wrong_bytes_are_never_there(either: ArtifactStore, size: int) -> None:
    digest = digest_of(b"something else")

    with pytest.raises(DigestMismatch):
        await either.put(digest, stream(os.urandom(size)))

    assert await either.size(digest) is None


async def test_a_cut_upload_is_never_there(either: ArtifactStore) -> None:
    content = os.urandom(20 * MIB)

    with pytest.raises(ConnectionResetError):
        await either.put(digest_of(content), cut(content[: 18 * MIB]))

    assert await either.size(digest_of(content)) is None


async def test_a_file_may_be_too_large(either: ArtifactStore) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield bytes(MIB)

    with pytest.raises(ArtifactTooLarge):
        await either.put(digest_of(b"x"), endless())

    assert await either.size(digest_of(b"x")) is None


async def test_what_is_not_there_is_named(either: ArtifactStore) -> None:
    absent = digest_of(b"absent")

    with pytest.raises(ArtifactMissing, match="absent|" + absent):
        await read(either, absent)
    with pytest.raises(ArtifactMissing, match=r"model\.onnx|" + absent):
        await either.tree([StoredFile("model.onnx", absent, 6)])
    assert await either.size(absent) is None


async def test_text_is_read_up_to_a_limit(either: ArtifactStore) -> None:
    taken = await either.take(stream("# Karte: größer\n".encode()))

    assert await either.text(taken.digest, limit=1_000) == "# Karte: größer\n"
    assert await either.text(taken.digest, limit=3) == "# K"


async def test_a_file_of_this_machine_is_taken_over(either: ArtifactStore, tmp_path: Path) -> None:
    source = tmp_path / "model.gguf"
    source.write_bytes(b"weights")

    stored = await either.import_file(source)
    again = await either.import_file(source)

    assert stored == again == StoredFile("model.gguf", digest_of(b"weights"), 7)
    assert await read(either, stored.digest) == b"weights"


async def test_a_tree_holds_the_files_and_tells_how_far_it_is(either: ArtifactStore) -> None:
    told: list[int] = []
    files = []
    for path, size in (("model.onnx", 9 * MIB), ("tokenizer/vocab.txt", 12)):
        content = os.urandom(size)
        await either.put(digest_of(content), stream(content))
        files.append(StoredFile(path, digest_of(content), size))

    tree = await either.tree(files, progress=told.append)
    again = await either.tree(list(reversed(files)))

    assert tree == again
    assert sum(told) == 9 * MIB + 12
    for file in files:
        assert digest_of((tree / file.path).read_bytes()) == file.digest


async def test_an_upload_goes_on_after_a_cut(either: ArtifactStore) -> None:
    content = os.urandom(40 * MIB)
    with pytest.raises(ConnectionResetError):
        await either.append("upl_1", 0, cut(content[: 19 * MIB]))
    stands = await either.received("upl_1")

    there = await either.append("upl_1", stands, stream(content[stands:]))
    size = await either.finish("upl_1", digest_of(content))

    assert (stands, there, size) == (19 * MIB, 40 * MIB, 40 * MIB)
    assert await read(either, digest_of(content)) == content


async def test_another_program_goes_on_with_an_upload(anew: Callable[[], ArtifactStore]) -> None:
    """In a bucket any control plane may go on; in a folder the one that starts after a crash."""
    content = os.urandom(3 * MIB)
    await anew().append("upl_1", 0, stream(content[:MIB]))

    other = anew()
    await other.append("upl_1", await other.received("upl_1"), stream(content[MIB:]))

    assert await other.finish("upl_1", digest_of(content)) == 3 * MIB


async def test_an_upload_is_only_added_to_where_it_stands(either: ArtifactStore) -> None:
    await either.append("upl_1", 0, stream(b"12345"))

    with pytest.raises(OffsetConflict) as refused:
        await either.append("upl_1", 3, stream(b"45678"))

    assert refused.value.actual == await either.received("upl_1") == 5


async def test_a_wrong_upload_is_gone(either: ArtifactStore) -> None:
    await either.append("upl_1", 0, stream(b"weights"))

    with pytest.raises(DigestMismatch):
        await either.finish("upl_1", digest_of(b"other"))

    assert await either.received("upl_1") == 0
    assert await either.size(digest_of(b"other")) is None


async def test_an_upload_can_be_finished_twice_until_it_is_discarded(
    either: ArtifactStore,
) -> None:
    await either.append("upl_1", 0, stream(b"weights"))

    for _ in range(2):
        assert await either.finish("upl_1", digest_of(b"weights")) == 7
    await either.discard("upl_1")
    await either.discard("upl_1")

    assert await either.received("upl_1") == 0
    assert await read(either, digest_of(b"weights")) == b"weights"


async def test_a_folder_that_nobody_asks_for_goes_and_comes_back(either: ArtifactStore) -> None:
    taken = await either.take(stream(b"weights"))
    files = [StoredFile("model.onnx", taken.digest, 7)]
    tree = await either.tree(files)

    await either.forget_trees({f"sha256:{tree.name}"}, idle_s=-1)
    kept = tree.exists()
    await either.forget_trees((), idle_s=-1)

    assert kept
    assert not tree.exists()
    assert (await either.tree(files) / "model.onnx").read_bytes() == b"weights"


async def test_a_sweep_removes_what_nothing_uses_and_leaves_what_just_came(
    either: ArtifactStore, db: Database
) -> None:
    used, unused = await either.take(stream(b"used")), await either.take(stream(b"unused"))

    async def in_use(_tx: Tx, digests: Sequence[str]) -> Collection[str]:
        return [digest for digest in digests if digest == used.digest]

    target = removals.Target("files", either)
    young = await removals.sweep(db, target, in_use, older_than_s=3_600)
    would = await removals.unused(db, either, in_use, older_than_s=-5)
    gone = await removals.sweep(db, target, in_use, older_than_s=-5)

    assert (list(young), list(would), list(gone)) == ([], [unused], [unused])
    assert await either.size(used.digest) == 4
    assert await either.size(unused.digest) is None


async def test_bytes_on_their_way_out_cannot_be_relied_on(
    either: ArtifactStore, db: Database
) -> None:
    """Between the decision and the removal somebody brings the same bytes: they are told to wait."""
    blob = await either.take(stream(b"again"))
    refused: list[str] = []

    class Meddling:
        """Claims the bytes at the worst moment."""

        def aged(self, older_than_s: float) -> AsyncIterator[Sequence[object]]:
            return either.aged(older_than_s)

        async def remove(self, digest: str, *, older_than_s: float) -> bool:
            async with db.write() as tx:
                try:
                    await removals.claim(tx, "files", [digest])
                except BeingRemoved as error:
                    refused.append(error.code)
            return await either.remove(digest, older_than_s=older_than_s)

    async def nothing(_tx: Tx, _digests: Sequence[str]) -> Collection[str]:
        return ()

    await removals.sweep(db, removals.Target("files", Meddling()), nothing, older_than_s=-5)
    async with db.write() as tx:
        await removals.claim(tx, "files", [blob.digest])

    assert refused == ["artifact_being_removed"]
    assert await either.size(blob.digest) is None


async def test_a_removal_that_was_interrupted_is_completed(
    either: ArtifactStore, db: Database
) -> None:
    blob = await either.take(stream(b"half gone"))

    class Dying:
        """Dies between the decision and the removal."""

        def aged(self, older_than_s: float) -> AsyncIterator[Sequence[object]]:
            return either.aged(older_than_s)

        async def remove(self, digest: str, *, older_than_s: float) -> bool:
            raise KeyboardInterrupt(digest, older_than_s)

    async def nothing(_tx: Tx, _digests: Sequence[str]) -> Collection[str]:
        return ()

    with pytest.raises(KeyboardInterrupt):
        await removals.sweep(db, removals.Target("files", Dying()), nothing, older_than_s=-5)
    await removals.sweep(db, removals.Target("files", either), nothing, older_than_s=-5)

    assert await either.size(blob.digest) is None
    async with db.write() as tx:
        await removals.claim(tx, "files", [blob.digest])
