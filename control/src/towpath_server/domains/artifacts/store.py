"""Queries of artifacts."""

from collections.abc import Collection, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import delete, func, select, update

from towpath_server.core import queries
from towpath_server.core.db import Tx
from towpath_server.core.paging import Window
from towpath_server.domains.artifacts.models import Upload
from towpath_server.domains.artifacts.tables import artifact_uploads, open_uploads


async def note_upload(tx: Tx, digest: str, size: int, holders: Collection[str]) -> None:
    """Note that these have shown just now to have some content."""
    for holder in sorted(holders):
        await tx.execute(
            tx.insert(artifact_uploads)
            .values(digest=digest, holder=holder, size=size, created_at_ms=tx.now_ms)
            .on_conflict_do_update(
                index_elements=["digest", "holder"], set_={"created_at_ms": tx.now_ms}
            )
        )


async def uploaded(
    tx: Tx, digests: Collection[str], holders: Collection[str] | None
) -> dict[str, int]:
    """Return the sizes, by digest, of the content that any of these (none: anybody) has shown."""
    query = select(artifact_uploads.c.digest, artifact_uploads.c.size)
    query = query.where(artifact_uploads.c.digest.in_(sorted(digests)))
    if holders is not None:
        query = query.where(artifact_uploads.c.holder.in_(sorted(holders)))
    return {row.digest: row.size for row in await tx.execute(query)}


async def touch(tx: Tx, digest: str, holders: Collection[str] | None) -> None:
    """Note that these ask for some content of theirs, and so are about to use it."""
    query = update(artifact_uploads).where(artifact_uploads.c.digest == digest)
    if holders is not None:
        query = query.where(artifact_uploads.c.holder.in_(sorted(holders)))
    await tx.execute(query.values(created_at_ms=tx.now_ms))


async def shown_since(tx: Tx, digests: Collection[str], since_ms: int) -> set[str]:
    """Return those of some digests that anybody has shown or asked for since."""
    query = select(artifact_uploads.c.digest).where(
        artifact_uploads.c.digest.in_(sorted(digests)),
        artifact_uploads.c.created_at_ms >= since_ms,
    )
    return set((await tx.execute(query)).scalars())


async def forget_holders(tx: Tx, digests: Collection[str]) -> None:
    """Forget who has shown some content, which is on its way out."""
    await tx.execute(delete(artifact_uploads).where(artifact_uploads.c.digest.in_(sorted(digests))))


async def insert(tx: Tx, upload: Upload) -> None:
    """Add an upload."""
    row: dict[str, Any] = asdict(upload)
    row["holders"] = list(upload.holders)
    await tx.execute(open_uploads.insert().values(**row))


async def find(tx: Tx, ref: str) -> Upload | None:
    """Find an open upload, whoever asks."""
    query = select(open_uploads).where(open_uploads.c.id == ref)
    row = (await tx.execute(query)).first()
    return _upload(row) if row else None


async def find_same(tx: Tx, owner: str, digest: str, size: int) -> Upload | None:
    """Find the open upload of a principal for some content."""
    query = select(open_uploads).where(
        open_uploads.c.owner == owner,
        open_uploads.c.digest == digest,
        open_uploads.c.size_bytes == size,
    )
    row = (await tx.execute(query)).first()
    return _upload(row) if row else None


async def page(tx: Tx, owner: str, window: Window) -> list[Upload]:
    """List one upload more than the window has."""
    query = select(open_uploads).where(open_uploads.c.owner == owner)
    query = queries.windowed(query, window, open_uploads.c.id)
    return [_upload(row) for row in await tx.execute(query)]


async def count(tx: Tx, owner: str) -> int:
    """Return how many uploads of a principal are open."""
    query = select(func.count()).where(open_uploads.c.owner == owner)
    return (await tx.execute(query)).scalar_one()


async def expired(tx: Tx, before_ms: int) -> Sequence[str]:
    """Return the ids of uploads that nobody went on with since."""
    query = select(open_uploads.c.id).where(open_uploads.c.updated_at_ms < before_ms).limit(1_000)
    return list((await tx.execute(query)).scalars())


async def advance(tx: Tx, upload: str) -> None:
    """Note that somebody went on with an upload."""
    await tx.execute(
        update(open_uploads)
        .where(open_uploads.c.id == upload)
        .values(updated_at_ms=tx.now_ms, revision=open_uploads.c.revision + 1)
    )


async def remove(tx: Tx, upload: str) -> None:
    """Remove an upload."""
    await tx.execute(delete(open_uploads).where(open_uploads.c.id == upload))


def _upload(row: Any) -> Upload:
    fields: dict[str, Any] = row._asdict()
    fields["holders"] = tuple(row.holders)
    return Upload(**fields)
