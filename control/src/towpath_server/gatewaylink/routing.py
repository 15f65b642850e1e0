"""
Snapshots and batches of the routing table.

A snapshot is read in one transaction and written as it is read, page by page, so that 100,000 keys
need neither memory nor a pause. A batch holds what changed since the gateway's revision, as it is
now: each changed entity once, or its deletion.
"""

import json
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from towpath_server.core import revision
from towpath_server.core.db import Database, Tx
from towpath_server.gatewaylink.entity import Changed, Entity, Value
from towpath_server.gatewaylink.recent import Recent
from towpath_server.gatewaylink.schemas import RoutingPoll

TABLE_VERSION = 1
# What a gateway may ignore when it does not know it (`kind` or `kind.field`). Nothing so far: every
# part of the table is a rule or needed to follow one.
ADVISORY: Sequence[str] = ()
# Above this a snapshot is about as cheap as the batch, and its size is known.
MAX_BATCH_CHANGES = 5_000
PAGE = 2_000
# A reply's part of the revocation lane; the next poll gets the rest at once.
MAX_REVOCATIONS = 5_000

_NOTHING: Mapping[str, Any] = {}


class Load(Protocol):
    """Read entities of one kind: the given ones that exist, or a page of all after an id."""

    async def __call__(
        self, tx: Tx, *, ids: Collection[str] | None = None, after: str = "", limit: int = PAGE
    ) -> list[tuple[str, Value]]:
        """Return ids and values in order of id."""
        ...


Catalog = Mapping[str, Load]
"""How entities of each kind are read; in the order in which a snapshot lists them."""


async def changed(tx: Tx, catalog: Catalog, changes: Collection[tuple[str, str]]) -> Changed:
    """Read what these (kind, id) are now: those that exist, and those that are gone."""
    upserts: list[Entity] = []
    deletes: list[tuple[str, str]] = []
    for kind, load in catalog.items():
        wanted = sorted({id_ for noun, id_ in changes if noun == kind})
        if wanted:
            found = await load(tx, ids=wanted, limit=len(wanted))
            upserts += [Entity(kind, id_, value) for id_, value in found]
            there = {id_ for id_, _ in found}
            deletes += [(kind, id_) for id_ in wanted if id_ not in there]
    unknown = {noun for noun, _ in changes} - set(catalog)
    if unknown:
        raise ValueError(f"no kind of entity is called {', '.join(sorted(unknown))}")
    return Changed(upserts, deletes)


@dataclass(frozen=True)
class News:
    """What a gateway is to be told: parts of a `RoutingReply`."""

    revocations: Sequence[Mapping[str, str]]
    revocations_to: int
    current: int
    batch: Mapping[str, Any] | None = None
    snapshot: bool = False
    """A snapshot is due; it is streamed, since it may be large."""

    @property
    def nothing(self) -> bool:
        """Whether the gateway has all of it."""
        return not self.revocations and self.batch is None and not self.snapshot

    def document(self) -> dict[str, Any]:
        """Return the reply, without the snapshot."""
        reply: dict[str, Any] = {"revocations_to": self.revocations_to}
        if self.revocations:
            reply["revocations"] = list(self.revocations)
        if self.batch is not None:
            reply["batch"] = self.batch
        return reply


async def news(tx: Tx, catalog: Catalog, poll: RoutingPoll, recent: Recent | None = None) -> News:
    """
    Compare what the gateway has with what is committed.

    Args:
        recent: What is known of the last commits, so that it need not be read.
    """
    current = await revision.current(tx)
    to = await revision.revocations_to(tx)
    # A gateway that counts further than we do comes from another database: from the start, then.
    after = poll.revocations_after if poll.revocations_after <= to else 0
    revoked = await revision.revocations(tx, after, MAX_REVOCATIONS) if after < to else []
    lane = [{"key_id": one.key_id, "hash": one.hash} for one in revoked]
    reached = revoked[-1].seq if revoked else to
    if current == 0:  # nothing was ever declared; the first start is about to
        return News(lane, reached, current)
    if poll.after == current:
        return News(lane, reached, current)
    found = recent.since(poll.after, current) if recent else None
    if found is None:
        changes = await _changes_since(tx, poll.after, current)
        if changes is None:
            return News(lane, reached, current, snapshot=True)
        found = await changed(tx, catalog, changes)
    batch = {
        "version": TABLE_VERSION,
        "from": poll.after,
        "to": current,
        "advisory": list(ADVISORY),
        "upserts": [entity.envelope() for entity in found.upserts],
        "deletes": [{"kind": kind, "id": id_} for kind, id_ in found.deletes],
    }
    return News(lane, reached, current, batch=batch)


async def _changes_since(tx: Tx, after: int, current: int) -> set[tuple[str, str]] | None:
    """Return what changed, or none where only a snapshot tells."""
    oldest = await revision.oldest(tx)
    if after == 0 or after > current or oldest is None or after < oldest - 1:
        return None
    changes = await revision.since(tx, after, MAX_BATCH_CHANGES + 1)
    if len(changes) > MAX_BATCH_CHANGES:
        return None
    return {(change.noun, change.id) for change in changes}


async def entities(tx: Tx, catalog: Catalog) -> AsyncIterator[Entity]:
    """Read the whole table, page by page."""
    for kind, load in catalog.items():
        after = ""
        while page := await load(tx, after=after, limit=PAGE):
            for id_, value in page:
                yield Entity(kind, id_, value)
            after = page[-1][0]


async def stream(
    db: Database, catalog: Catalog, poll: RoutingPoll, beside: Mapping[str, Any] = _NOTHING
) -> AsyncIterator[bytes]:
    """Write a reply with a snapshot and `beside`, in pieces, from one state of the database."""
    async with db.read() as tx:
        reply = await news(tx, catalog, poll)
        head = json.dumps({**reply.document(), **beside}, separators=(",", ":"))[:-1]
        table = {
            "version": TABLE_VERSION,
            "revision": reply.current,
            "advisory": list(ADVISORY),
        }
        opening = json.dumps(table, separators=(",", ":"))[:-1]
        piece = [f'{head},"snapshot":{opening},"entities":[']
        separator = ""
        async for entity in entities(tx, catalog):
            piece.append(separator + json.dumps(entity.envelope(), separators=(",", ":")))
            separator = ","
            if len(piece) >= PAGE:
                yield "".join(piece).encode()
                piece = []
        yield "".join([*piece, "]}}"]).encode()
