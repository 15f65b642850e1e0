"""Removing what nothing needs: bytes, folders made of them, uploads that nobody went on with."""

from collections.abc import Collection, Sequence

from towpath_server.adapters.objectstore import removals
from towpath_server.core import holds
from towpath_server.core.access import Principal, Verb
from towpath_server.core.db import Tx
from towpath_server.domains.artifacts import store
from towpath_server.domains.artifacts.models import Collected, Depot
from towpath_server.domains.artifacts.service.holding import STORE
from towpath_server.domains.audit import service as audit

_TREE_IDLE_S = 3_600.0  # made again from the store within seconds, should anybody ask


async def collect(
    depot: Depot,
    caller: Principal,
    *,
    dry_run: bool = False,
) -> Collected:
    """
    Remove what nothing needs and nobody asked for in a while; say what went.

    Args:
        dry_run: Only say what would go.

    Raises:
        Forbidden: The caller is not the platform.
        StorageFailed: The store is away; what is left goes another time.
    """
    caller.require(Verb.DELETE, "artifact")
    grace_s = depot.lasts_s
    used = _used(grace_s)
    async with depot.db.read() as tx:
        late = await store.expired(tx, tx.now_ms - grace_s * 1_000)
    if dry_run:
        found = await removals.unused(depot.db, depot.store, used, older_than_s=grace_s)
        return Collected(len(found), sum(blob.size for blob in found), len(late))
    for upload in late:
        await depot.store.discard(upload)
        async with depot.db.write() as tx:
            await store.remove(tx, upload)
    async with depot.db.read() as tx:
        keep = await holds.trees_in_use(tx)
    await depot.store.forget_trees(keep, idle_s=_TREE_IDLE_S)
    found = await removals.sweep(
        depot.db,
        removals.Target(STORE, depot.store),
        used,
        older_than_s=grace_s,
        condemned=store.forget_holders,
    )
    collected = Collected(len(found), sum(blob.size for blob in found), len(late))
    if found or late:
        async with depot.db.write() as tx:
            await _note(tx, caller, collected)
    return collected


def _used(grace_s: int) -> removals.Used:
    async def used(tx: Tx, digests: Sequence[str]) -> Collection[str]:
        young = await store.shown_since(tx, digests, tx.now_ms - grace_s * 1_000)
        return young | await holds.held(tx, set(digests) - young)

    return used


async def _note(tx: Tx, caller: Principal, collected: Collected) -> None:
    await audit.append(
        tx,
        caller,
        action="artifact.collected",
        noun="artifact",
        id=STORE,
        team=None,
        changes={
            "files": collected.files,
            "size_bytes": collected.size_bytes,
            "uploads": collected.uploads,
        },
    )
