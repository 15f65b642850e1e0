"""
Uploads: a file comes whole, or in pieces that go on after a cut.

An open upload is its team's: whoever may upload for the team may go on with it. Its bytes count for
nothing until all of them are there and have the digest that was announced.
"""

from collections.abc import AsyncIterator

from towpath_server.adapters.objectstore.errors import DigestMismatch
from towpath_server.core import ids, revision
from towpath_server.core.access import Principal
from towpath_server.core.db import Tx
from towpath_server.core.errors import NotFound
from towpath_server.core.paging import Slice, Window
from towpath_server.domains.artifacts import store
from towpath_server.domains.artifacts.errors import (
    TooManyUploads,
    UploadIncomplete,
    UploadTooLong,
)
from towpath_server.domains.artifacts.models import Depot, Upload, UploadState
from towpath_server.domains.artifacts.service import holding
from towpath_server.domains.audit import service as audit

_MAX_OPEN = 200  # of one principal; a model of more files sends them in turn


async def upload(
    depot: Depot,
    caller: Principal,
    digest: str,
    body: AsyncIterator[bytes],
) -> int:
    """
    Store content under its digest, and note who has shown to have it; return its size.

    Raises:
        Forbidden: The caller may not upload.
        DigestMismatch: The content has another digest.
        StorageFull: There is no room for it.
        BeingRemoved: The same bytes are on their way out.
    """
    holders = holding.uploaders(caller)
    size = await depot.store.put(digest, body)
    async with depot.db.write() as tx:
        await holding.note(tx, caller, holders, digest, size)
    return size


async def begin(
    depot: Depot, caller: Principal, *, digest: str, size: int
) -> tuple[UploadState, bool]:
    """
    Begin an upload, or go on with the caller's own of the same content.

    Returns how far it is, and whether it is new.

    Raises:
        Forbidden: The caller may not upload.
        TooManyUploads: Too many of theirs are open.
    """
    holders = holding.uploaders(caller)
    async with depot.db.write() as tx:
        found = await store.find_same(tx, caller.id, digest, size)
        if found is None:
            if await store.count(tx, caller.id) >= _MAX_OPEN:
                raise TooManyUploads(_MAX_OPEN)
            made = Upload(
                id=ids.new("upl"),
                revision=1,
                created_at_ms=tx.now_ms,
                updated_at_ms=tx.now_ms,
                owner=caller.id,
                digest=digest,
                size_bytes=size,
                holders=tuple(sorted(holders)),
            )
            await store.insert(tx, made)
            await _note(tx, caller, made, "begun")
            return UploadState(made, 0), True
        await store.advance(tx, found.id)
    return UploadState(found, await depot.store.received(found.id)), False


async def get(depot: Depot, caller: Principal, ref: str) -> UploadState:
    """
    Return an upload, and how far it is.

    Raises:
        NotFound: There is none that the caller may go on with.
    """
    async with depot.db.read() as tx:
        found = await _open(tx, caller, ref)
    return UploadState(found, await depot.store.received(found.id))


async def list(  # noqa: A001
    depot: Depot, caller: Principal, window: Window
) -> Slice[UploadState]:
    """
    List the caller's open uploads.

    Raises:
        Forbidden: The caller may not upload.
    """
    holding.uploaders(caller)
    async with depot.db.read() as tx:
        found = Slice.cut(await store.page(tx, caller.id, window), window)
    states = [UploadState(one, await depot.store.received(one.id)) for one in found.items]
    return Slice(states, found.next)


async def append(
    depot: Depot,
    caller: Principal,
    ref: str,
    offset: int,
    body: AsyncIterator[bytes],
) -> UploadState:
    """
    Add to an upload from `offset` on; what came stays when the body breaks off.

    Raises:
        NotFound: There is none that the caller may go on with.
        OffsetConflict: It stands elsewhere.
        UploadTooLong: More bytes come than were announced.
        StorageFull: There is no room for it.
    """
    async with depot.db.read() as tx:
        found = await _open(tx, caller, ref)
    stands = await depot.store.append(found.id, offset, _bounded(body, found, offset))
    async with depot.db.write() as tx:
        await store.advance(tx, found.id)
    return UploadState(found, stands)


async def finish(depot: Depot, caller: Principal, ref: str) -> tuple[str, int]:
    """
    Store what an upload brought, and note who has shown to have it; return digest and size.

    Raises:
        NotFound: There is none that the caller may go on with.
        UploadIncomplete: Not all of its bytes are there.
        DigestMismatch: They have another digest; the upload is gone.
        BeingRemoved: The same bytes are on their way out.
    """
    async with depot.db.read() as tx:
        found = await _open(tx, caller, ref)
    offset = await depot.store.received(found.id)
    if offset != found.size_bytes:
        raise UploadIncomplete(offset, found.size_bytes)
    try:
        await depot.store.finish(found.id, found.digest)
    except DigestMismatch:
        async with depot.db.write() as tx:
            await store.remove(tx, found.id)
        raise
    visible = holding.visible(caller)
    holders = [one for one in found.holders if visible is None or one in visible]
    async with depot.db.write() as tx:
        await holding.note(tx, caller, holders, found.digest, found.size_bytes)
        await store.remove(tx, found.id)
    await depot.store.discard(found.id)  # last: until it is noted, it can be finished again
    return found.digest, found.size_bytes


async def discard(depot: Depot, caller: Principal, ref: str, *, if_match: int | None) -> None:
    """
    Give an upload up.

    Raises:
        NotFound: There is none that the caller may go on with.
        RevisionConflict: It is no longer at `if_match`.
    """
    async with depot.db.read() as tx:
        found = await _open(tx, caller, ref)
        revision.match(if_match, found.revision)
    await depot.store.discard(found.id)  # first, so that a failure leaves what finds it again
    async with depot.db.write() as tx:
        await store.remove(tx, found.id)
        await _note(tx, caller, found, "discarded")


async def _open(tx: Tx, caller: Principal, ref: str) -> Upload:
    visible = holding.visible(caller)
    found = await store.find(tx, ref)
    if found is None or (visible is not None and not set(found.holders) & set(visible)):
        raise NotFound("upload", ref)
    return found


async def _bounded(body: AsyncIterator[bytes], upload: Upload, offset: int) -> AsyncIterator[bytes]:
    async for chunk in body:
        offset += len(chunk)
        if offset > upload.size_bytes:
            raise UploadTooLong(upload.size_bytes)
        if chunk:
            yield chunk


async def _note(tx: Tx, caller: Principal, upload: Upload, verb: str) -> None:
    await audit.append(
        tx,
        caller,
        action=f"upload.{verb}",
        noun="upload",
        id=upload.id,
        team=caller.team,
        changes={"digest": upload.digest, "size": upload.size_bytes},
    )
