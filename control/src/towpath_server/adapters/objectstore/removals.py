"""
Removing bytes that nothing needs, safe against the same bytes coming in at the same moment.

Whoever writes that bytes are needed, and whoever finds that they are not, meet in the database: one
of the two is first. A removal is noted before the bytes go and forgotten once they went, so that a
crash in between is completed by the next sweep, and nobody relies on bytes that are on their way
out.
"""

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import BigInteger, Column, String, Table, delete, select, text

from towpath_server.adapters.objectstore.errors import BeingRemoved
from towpath_server.adapters.objectstore.store import ArtifactStore, StoredBlob
from towpath_server.core.db import Database, Tx, metadata

blob_removals = Table(
    "blob_removals",
    metadata,
    Column("store", String(16), primary_key=True),
    Column("digest", String(80), primary_key=True),
    Column("created_at_ms", BigInteger, nullable=False),
)
"""Bytes on their way out."""

_ASKED = 200  # digests that one transaction decides on

Used = Callable[[Tx, Sequence[str]], Awaitable[Collection[str]]]
"""Tells which of some digests are in use."""
Condemned = Callable[[Tx, Sequence[str]], Awaitable[None]]
"""Hears which digests go."""


async def claim(tx: Tx, store: str, digests: Collection[str]) -> None:
    """
    Rely on stored bytes; to be called in the transaction that writes that they are needed.

    Raises:
        BeingRemoved: They are on their way out; bring them again.
    """
    await _lock(tx, store, digests)
    query = select(blob_removals.c.digest).where(
        blob_removals.c.store == store, blob_removals.c.digest.in_(sorted(digests))
    )
    leaving = (await tx.execute(query.limit(1))).scalar_one_or_none()
    if leaving is not None:
        raise BeingRemoved(leaving)


@dataclass(frozen=True)
class Target:
    """A store under the name by which `claim` knows it."""

    name: str
    store: ArtifactStore


async def sweep(
    db: Database,
    target: Target,
    used: Used,
    *,
    older_than_s: float,
    condemned: Condemned | None = None,
) -> Sequence[StoredBlob]:
    """
    Remove bytes that nothing uses; return which went.

    Args:
        older_than_s: What came in later stays: whoever sent it may be about to use it.
        condemned: Is told, in the transaction that decides, what goes.
    """
    for digest in await _leaving(db, target.name):  # an earlier sweep did not come to its end
        await target.store.remove(digest, older_than_s=older_than_s)
        await _forget(db, target.name, [digest])
    gone: list[StoredBlob] = []
    async for found in target.store.aged(older_than_s):
        for start in range(0, len(found), _ASKED):
            some = found[start : start + _ASKED]
            leaving = await _condemn(db, target.name, some, used, condemned)
            gone += [
                blob
                for blob in leaving
                if await target.store.remove(blob.digest, older_than_s=older_than_s)
            ]
            await _forget(db, target.name, [blob.digest for blob in leaving])
    return gone


async def unused(
    db: Database, store: ArtifactStore, used: Used, *, older_than_s: float
) -> Sequence[StoredBlob]:
    """Return what `sweep` would remove; nothing is changed."""
    found: list[StoredBlob] = []
    async for some in store.aged(older_than_s):
        async with db.read() as tx:
            kept = set(await used(tx, [blob.digest for blob in some]))
        found += [blob for blob in some if blob.digest not in kept]
    return found


async def _condemn(
    db: Database,
    name: str,
    found: Sequence[StoredBlob],
    used: Used,
    condemned: Condemned | None,
) -> Sequence[StoredBlob]:
    """Decide which of some bytes go, and note it."""
    async with db.read() as tx:
        kept = set(await used(tx, [blob.digest for blob in found]))
    loose = [blob for blob in found if blob.digest not in kept]
    if not loose:
        return []
    async with db.write() as tx:
        await _lock(tx, name, [blob.digest for blob in loose])
        kept = set(await used(tx, [blob.digest for blob in loose]))
        loose = [blob for blob in loose if blob.digest not in kept]
        for blob in loose:
            await tx.execute(
                tx.insert(blob_removals)
                .values(store=name, digest=blob.digest, created_at_ms=tx.now_ms)
                .on_conflict_do_nothing()
            )
        if condemned is not None and loose:
            await condemned(tx, [blob.digest for blob in loose])
    return loose


async def _leaving(db: Database, name: str) -> Sequence[str]:
    async with db.read() as tx:
        query = select(blob_removals.c.digest).where(blob_removals.c.store == name)
        return list((await tx.execute(query)).scalars())


async def _forget(db: Database, name: str, digests: Sequence[str]) -> None:
    if not digests:
        return
    async with db.write() as tx:
        await tx.execute(
            delete(blob_removals).where(
                blob_removals.c.store == name, blob_removals.c.digest.in_(digests)
            )
        )


async def _lock(tx: Tx, store: str, digests: Collection[str]) -> None:
    """Let only one transaction at a time decide about some bytes; SQLite has one writer anyway."""
    if tx.dialect != "postgresql":
        return
    lock = text("SELECT pg_advisory_xact_lock(hashtextextended(:what, 0))")
    for digest in sorted(digests):
        await tx.execute(lock, {"what": f"{store}:{digest}"})
