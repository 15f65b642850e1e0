"""
The routing revision: how a change reaches the gateways.

A service that changes something a gateway must know calls `bump` in its transaction. One row counts
the revisions, and its lock serialises those commits, so a revision that is visible has all earlier
ones before it. `gatewaylink` reads the changes and builds the batches.

The first revision of a database is the time in milliseconds: two databases never share one, so a
gateway that comes from another database is told apart by its number and gets a snapshot.
"""

from dataclasses import dataclass

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table, delete, func, select

from towpath_server.core.db import BigSerial, Tx, metadata
from towpath_server.core.errors import RevisionConflict

_counter = Table(
    "routing_revision",
    metadata,
    Column("only", Integer, primary_key=True, autoincrement=False),
    Column("value", BigInteger, nullable=False),
)

_changes = Table(
    "routing_changes",
    metadata,
    Column("revision", BigInteger, primary_key=True, autoincrement=False),
    Column("noun", String(32), primary_key=True),
    Column("id", String(64), primary_key=True),
)

_revocations = Table(
    "routing_revocations",
    metadata,
    Column("seq", BigSerial, primary_key=True, autoincrement=True),
    Column("key_id", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Index(None, "at_ms"),
    sqlite_autoincrement=True,
)


@dataclass(frozen=True)
class Change:
    """Something a gateway must hear of."""

    revision: int
    noun: str
    id: str


@dataclass(frozen=True)
class Revoked:
    """A key that must stop working at once."""

    seq: int
    key_id: str
    hash: str


def match(expected: int | None, actual: int) -> None:
    """
    Compare `If-Match` with the resource as it is.

    Raises:
        RevisionConflict: The caller expected another revision.
    """
    if expected is not None and expected != actual:
        raise RevisionConflict(expected, actual)


async def bump(tx: Tx, noun: str, id: str) -> int:  # noqa: A002 (the word the contract uses)
    """Note that a gateway must hear of this; all bumps of one transaction share one revision."""
    if tx.revision is None:
        statement = tx.insert(_counter).values(only=1, value=tx.now_ms)
        statement = statement.on_conflict_do_update(
            index_elements=["only"], set_={"value": _counter.c.value + 1}
        )
        result = await tx.execute(statement.returning(_counter.c.value))
        tx.revision = int(result.scalar_one())
    if (noun, id) not in tx.changes:
        tx.changes.append((noun, id))
        await tx.execute(_changes.insert().values(revision=tx.revision, noun=noun, id=id))
    return tx.revision


async def hold(tx: Tx) -> None:
    """
    Wait for every change that is under way, and keep others waiting until this one is over.

    What is decided from the rows of others, such as whether there is room, holds at the commit. It
    is the row that `bump` locks, so that there is one lock and no order of several.
    """
    await tx.execute(select(_counter.c.value).with_for_update())


async def current(tx: Tx) -> int:
    """Return the highest revision committed; 0 before the first."""
    return (await tx.execute(select(_counter.c.value))).scalar_one_or_none() or 0


async def since(tx: Tx, after: int, limit: int) -> list[Change]:
    """
    List changes later than `after`, oldest first.

    The list may end within a revision when it reaches `limit`: take a snapshot then.
    """
    rows = await tx.execute(
        select(_changes)
        .where(_changes.c.revision > after)
        .order_by(_changes.c.revision, _changes.c.noun, _changes.c.id)
        .limit(limit)
    )
    return [Change(row.revision, row.noun, row.id) for row in rows]


async def oldest(tx: Tx) -> int | None:
    """Return the lowest revision whose changes are kept; who is behind it needs a snapshot."""
    return (await tx.execute(select(func.min(_changes.c.revision)))).scalar_one_or_none()


async def forget(tx: Tx, *, before: int) -> None:
    """Drop the changes of revisions below `before`."""
    await tx.execute(delete(_changes).where(_changes.c.revision < before))


async def revoke(tx: Tx, key_id: str, hash: str) -> None:  # noqa: A002 (the word the contract uses)
    """Put a key on the revocation lane, and bump it, so that the lane is in order of commit."""
    await bump(tx, "key", key_id)
    await tx.execute(_revocations.insert().values(key_id=key_id, hash=hash, at_ms=tx.now_ms))


async def revocations(tx: Tx, after: int, limit: int) -> list[Revoked]:
    """List revocations later than `after`, oldest first."""
    rows = await tx.execute(
        select(_revocations)
        .where(_revocations.c.seq > after)
        .order_by(_revocations.c.seq)
        .limit(limit)
    )
    return [Revoked(row.seq, row.key_id, row.hash) for row in rows]


async def revocations_to(tx: Tx) -> int:
    """Return the number of the latest revocation; 0 before the first."""
    return (await tx.execute(select(func.max(_revocations.c.seq)))).scalar_one_or_none() or 0
