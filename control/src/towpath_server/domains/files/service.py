"""
Rules of files: whose they are, how large they may be, and when their bytes go.

A file belongs to the project and environment of the key that uploaded it. What is foreign does not
exist. Bytes are stored once under their digest; a sweep removes what no file has any more.
"""

from collections.abc import AsyncIterator, Sequence

from towpath_server.adapters.objectstore import removals
from towpath_server.adapters.objectstore.store import ArtifactStore, StoredBlob
from towpath_server.core import ids, uses
from towpath_server.core.access import SYSTEM, Principal, Verb
from towpath_server.core.config import BatchSettings
from towpath_server.core.db import Database, Tx
from towpath_server.core.errors import NotFound
from towpath_server.core.paging import Slice, Window
from towpath_server.domains.audit import service as audit
from towpath_server.domains.files import store
from towpath_server.domains.files.errors import FileTooLarge
from towpath_server.domains.files.models import File, Order, Place, Purpose

# Bytes that no file has yet may belong to an upload whose row is about to be written.
GRACE_S = 3_600.0
_STORE = "files"
_SHOWN = 5
_SWEPT = 500  # files whose time has passed that go in one transaction


def place_of(caller: Principal, noun: str) -> Place:
    """
    Return where what a program makes belongs: to the project and environment of its key.

    Raises:
        Forbidden: The caller is no key or service account, or its key may not call models.
    """
    caller.require(Verb.CREATE, noun, team=caller.team, project=caller.project)
    if caller.team is None or caller.project is None or caller.environment is None:
        raise RuntimeError("only keys and service accounts have the scope that this needs")
    return Place(caller.team, caller.project, caller.environment)


async def receive(
    db: Database,
    blobs: ArtifactStore,
    caller: Principal,
    content: AsyncIterator[bytes],
    limits: BatchSettings,
) -> StoredBlob:
    """
    Take the bytes of an upload in, never more than may be stored.

    Raises:
        Forbidden: The caller may not upload files.
        FileTooLarge: There are more bytes than a file may have, or than its project has room for.
        StorageFull: The disk has no room.
    """
    place = place_of(caller, "file")
    async with db.read() as tx:
        room = limits.project_bytes - await store.size_of(tx, place.project_id)
    return await blobs.take(_bounded(content, limits, room))


async def _bounded(
    content: AsyncIterator[bytes], limits: BatchSettings, room: int
) -> AsyncIterator[bytes]:
    taken = 0
    async for piece in content:
        taken += len(piece)
        if taken > limits.file_bytes:
            raise FileTooLarge(limits.file_bytes)
        if taken > room:
            raise FileTooLarge(limits.project_bytes, project=True)
        yield piece


async def create(
    tx: Tx, caller: Principal, blob: StoredBlob, *, filename: str, lasts_s: int | None
) -> File:
    """
    Make a file for batches of bytes that were received.

    Raises:
        Forbidden: The caller may not upload files.
    """
    place = place_of(caller, "file")
    ends = None if lasts_s is None else tx.now_ms + lasts_s * 1_000
    file = _made(tx, place, Purpose.BATCH, blob, filename=filename, ends=ends)
    await removals.claim(tx, _STORE, [blob.digest])
    await store.insert(tx, file)
    await _audit(tx, caller, file, "created")
    return file


async def keep(
    tx: Tx, place: Place, blob: StoredBlob, *, filename: str, expires_at_ms: int | None
) -> File:
    """Make a file of what a batch answered."""
    file = _made(tx, place, Purpose.BATCH_OUTPUT, blob, filename=filename, ends=expires_at_ms)
    await removals.claim(tx, _STORE, [blob.digest])
    await store.insert(tx, file)
    await _audit(tx, SYSTEM, file, "created")
    return file


async def get(tx: Tx, caller: Principal, ref: str, *, verb: Verb = Verb.READ) -> File:
    """
    Return a file.

    Raises:
        NotFound: There is none in the caller's project and environment.
        Forbidden: The caller may see it, and not `verb` it.
    """
    file = await store.find(tx, ref)
    if file is None or caller.environment not in {None, file.environment}:
        raise NotFound("file", ref)
    caller.require(verb, "file", team=file.team_id, project=file.project_id, ref=ref)
    return file


async def list(  # noqa: A001
    tx: Tx, caller: Principal, window: Window, *, purpose: str | None, order: Order
) -> Slice[File]:
    """
    List the files of the caller's project and environment; of a user, those of all teams.

    Raises:
        Forbidden: The caller may read no files.
    """
    rows = await store.page(
        tx,
        caller.reach("file"),
        window,
        environment=caller.environment,
        purpose=purpose,
        order=order,
    )
    return Slice.cut(rows, window)


async def delete(tx: Tx, caller: Principal, ref: str) -> File:
    """
    Delete a file; its bytes go with the next sweep.

    Raises:
        NotFound: There is none in the caller's project and environment.
        InUse: A batch that has not ended needs it.
    """
    file = await get(tx, caller, ref, verb=Verb.DELETE)
    await uses.ensure_none(tx, "file", file.id, file.id)
    await store.remove(tx, file)
    await _audit(tx, caller, file, "deleted")
    return file


async def sweep(db: Database, blobs: ArtifactStore, *, grace_s: float = GRACE_S) -> int:
    """Remove files whose time has passed and that nothing needs, and bytes that no file has."""
    async with db.write() as tx:
        for file in await store.ended(tx, _SWEPT):
            if not await uses.found(tx, "file", file.id):
                await store.remove(tx, file)
                await _audit(tx, SYSTEM, file, "deleted")

    target = removals.Target(_STORE, blobs)
    return len(await removals.sweep(db, target, store.used, older_than_s=grace_s))


def _made(
    tx: Tx, place: Place, purpose: Purpose, blob: StoredBlob, *, filename: str, ends: int | None
) -> File:
    return File(
        id=ids.new("file"),
        revision=1,
        created_at_ms=tx.now_ms,
        updated_at_ms=tx.now_ms,
        team_id=place.team_id,
        project_id=place.project_id,
        environment=place.environment,
        purpose=purpose,
        filename=filename,
        digest=blob.digest,
        size_bytes=blob.size,
        expires_at_ms=ends,
    )


async def _audit(tx: Tx, caller: Principal, file: File, verb: str) -> None:
    await audit.append(
        tx,
        caller,
        action=f"file.{verb}",
        noun="file",
        id=file.id,
        team=file.team_id,
        changes={
            "filename": file.filename,
            "purpose": file.purpose,
            "size_bytes": file.size_bytes,
            "digest": file.digest,
        },
    )


@uses.of("project")
async def _of_project(tx: Tx, project: str) -> Sequence[str]:
    return [f"file {id_}" for id_ in await store.names_in(tx, project, _SHOWN)]
