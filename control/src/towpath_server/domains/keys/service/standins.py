"""
Stand-ins: how the platform calls models as a key of which it knows only the hash.

A stand-in is a credential of its own, minted in memory and known by its hash alone. The gateway's
table binds it to one key, and what is presented with it counts as that key in every respect: its
rights, limits, budgets and records. It has no scopes, ends by itself, and at once with the key.
Nothing but the routing table has it, so the API takes it from nobody.
"""

from collections.abc import Collection, Sequence

from towpath_server.core import ids, revision, tokens
from towpath_server.core.db import Tx
from towpath_server.core.errors import NotFound
from towpath_server.core.secret import Secret
from towpath_server.domains.keys import store
from towpath_server.domains.keys.models import Key, StandIn


async def issue(
    tx: Tx, key_id: str, *, lasts_ms: int, sources: tuple[str, ...] | None
) -> tuple[StandIn, Secret]:
    """
    Make a stand-in for a live key; its secret is returned this once and stored nowhere.

    Args:
        sources: Networks that the platform calls from; none: any.

    Raises:
        NotFound: The key is revoked or has expired.
    """
    key = await find(tx, key_id)
    if key is None:
        raise NotFound("key", key_id)
    secret = tokens.mint("service")
    made = StandIn(
        id=ids.new("sti"),
        key_id=key.id,
        project_id=key.project_id,
        environment=key.environment,
        hash=tokens.digest(secret.reveal()),
        expires_at_ms=tx.now_ms + lasts_ms,
        sources=sources,
    )
    await store.insert_stand_in(tx, made)
    await revision.bump(tx, "key", made.id)
    return made, secret


async def find(tx: Tx, key_id: str) -> Key | None:
    """Return a key or service account that may be used now, whoever asks."""
    found = await store.live(tx, wanted=[key_id])
    if not found or (found[0].expires_at_ms is not None and found[0].expires_at_ms <= tx.now_ms):
        return None
    return found[0]


async def withdraw(tx: Tx, ids: Collection[str] = ()) -> int:
    """End stand-ins, and clear away those that have ended by themselves; return how many went."""
    gone = await store.remove_stand_ins(tx, ids=ids, before_ms=tx.now_ms)
    for one in gone:
        await revision.bump(tx, "key", one)
    return len(gone)


async def routed(
    tx: Tx, *, ids: Collection[str] | None = None, after: str = "", limit: int = 5_000
) -> Sequence[StandIn]:
    """List the stand-ins that the routing table holds, in order of id."""
    return await store.live_stand_ins(tx, wanted=ids, after=after, limit=limit)
