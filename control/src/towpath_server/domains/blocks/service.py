"""Rules of blocks. A model need not be known here: a name at some provider can be blocked too."""

from collections.abc import Collection, Sequence

from towpath_server.core import ids as new_ids
from towpath_server.core import revision, uses
from towpath_server.core.access import SYSTEM, Principal, Verb
from towpath_server.core.db import Tx
from towpath_server.core.errors import NotFound
from towpath_server.core.paging import Slice, Window
from towpath_server.domains.audit import service as audit
from towpath_server.domains.blocks import store
from towpath_server.domains.blocks.errors import AlreadyBlocked
from towpath_server.domains.blocks.models import Block, BlockDraft, What
from towpath_server.domains.endpoints import service as endpoints
from towpath_server.domains.keys import service as keys
from towpath_server.domains.providers import service as providers


async def create(tx: Tx, caller: Principal, draft: BlockDraft) -> Block:
    """
    Stop something at once.

    Raises:
        Forbidden: The caller is not the platform.
        NotFound: There is no such endpoint, key or provider.
        AlreadyBlocked: It is blocked.
    """
    caller.require(Verb.CREATE, "block")
    ref, name = await _resolve(tx, caller, draft)
    former = await store.find_of(tx, draft.what, ref)
    if former is not None:
        raise AlreadyBlocked(draft.what, name, former.id)
    block = Block(
        id=new_ids.new("blk"),
        revision=1,
        created_at_ms=tx.now_ms,
        updated_at_ms=tx.now_ms,
        what=draft.what,
        ref=ref,
        name=name,
        reason=draft.reason,
    )
    await store.insert(tx, block)
    await revision.bump(tx, "block", block.id)
    await _audit(tx, caller, block, "created")
    return block


async def get(tx: Tx, caller: Principal, ref: str, *, verb: Verb = Verb.READ) -> Block:
    """
    Return a block by id.

    Raises:
        NotFound: There is none that the caller may see.
        Forbidden: The caller may see it, and may not `verb` it.
    """
    block = await store.find(tx, ref)
    if block is None:
        raise NotFound("block", ref)
    caller.require(verb, "block", ref=ref)
    return block


async def list(  # noqa: A001
    tx: Tx,
    caller: Principal,
    window: Window,
    *,
    of: BlockDraft | None = None,
) -> Slice[Block]:
    """
    List what is blocked, or what blocks one thing.

    Raises:
        Forbidden: The caller oversees nothing.
        NotFound: There is no such endpoint, key or provider.
    """
    caller.require(Verb.READ, "block")
    ref = (await _resolve(tx, caller, of))[0] if of is not None else None
    found = await store.page(tx, window, what=of.what if of else None, ref=ref)
    return Slice.cut(found, window)


async def delete(tx: Tx, caller: Principal, ref: str, *, if_match: int | None) -> None:
    """
    Let something go again.

    Raises:
        NotFound: There is none that the caller may see.
        Forbidden: The caller is not the platform.
        RevisionConflict: It is no longer at `if_match`.
    """
    block = await get(tx, caller, ref, verb=Verb.DELETE)
    revision.match(if_match, block.revision)
    await _remove(tx, caller, block)


async def routed(
    tx: Tx, *, ids: Collection[str] | None = None, after: str = "", limit: int = 5_000
) -> Sequence[Block]:
    """List blocks by id, or all after one, in order of id."""
    return await store.rows(tx, wanted=ids, after=after, limit=limit)


@uses.falls_with("endpoint")
async def _of_endpoint(tx: Tx, id_: str) -> None:
    await _fall(tx, What.ENDPOINT, id_)


@uses.falls_with("key")
async def _of_key(tx: Tx, id_: str) -> None:
    await _fall(tx, What.KEY, id_)


@uses.passes_on("key")
async def _inherit(tx: Tx, former: str, successor: str) -> None:
    """Block the key that replaces a blocked one: a rotation frees nobody."""
    block = await store.find_of(tx, What.KEY, former)
    if block is not None:
        draft = BlockDraft(What.KEY, successor, reason=block.reason)
        await create(tx, SYSTEM, draft)


async def _resolve(tx: Tx, caller: Principal, draft: BlockDraft) -> tuple[str, str]:
    """Return how the gateways know the thing, and its name."""
    if draft.what is What.ENDPOINT:
        endpoint = await endpoints.get(tx, caller, draft.ref, environment=draft.environment)
        return endpoint.id, f"{endpoint.name} in {endpoint.environment}"
    if draft.what is What.KEY:
        key = await keys.find_any(tx, caller, draft.ref)
        return key.id, key.name
    if draft.what is What.PROVIDER:
        provider = await providers.get(tx, caller, draft.ref)
        return provider.name, provider.name
    return draft.ref, draft.ref


async def _fall(tx: Tx, what: What, ref: str) -> None:
    block = await store.find_of(tx, what, ref)
    if block is not None:
        await _remove(tx, SYSTEM, block)


async def _remove(tx: Tx, caller: Principal, block: Block) -> None:
    await store.remove(tx, block)
    await revision.bump(tx, "block", block.id)
    await _audit(tx, caller, block, "deleted")


async def _audit(tx: Tx, caller: Principal, block: Block, done: str) -> None:
    await audit.append(
        tx,
        caller,
        action=f"block.{done}",
        noun="block",
        id=block.id,
        team=None,
        changes={block.what.value: block.name, "ref": block.ref, "reason": block.reason},
    )
