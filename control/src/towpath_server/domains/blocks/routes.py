"""Routes of blocks."""

from typing import Annotated

from fastapi import Depends, Query

from towpath_server.core.errors import Forbidden, InvalidRequest, NotFound, RevisionConflict
from towpath_server.domains.blocks import service as blocks
from towpath_server.domains.blocks.errors import AlreadyBlocked
from towpath_server.domains.blocks.models import BlockDraft, What
from towpath_server.domains.blocks.schemas import BlockCreate, BlockOut
from towpath_server.web import edge
from towpath_server.web.deps import Caller, IfMatch, Paging, ReadTx, WriteTx
from towpath_server.web.paging import Page
from towpath_server.web.problems import problems
from towpath_server.web.schemas import Ref

router = edge.router("block", "/blocks")


def _of(
    endpoint: Annotated[Ref | None, Query(description="Name or id of an endpoint.")] = None,
    environment: Annotated[Ref | None, Query(description="Of the endpoint.")] = None,
    key: Annotated[Ref | None, Query(description="Id of a key.")] = None,
    provider: Annotated[Ref | None, Query(description="Name or id of a provider.")] = None,
    model: Annotated[Ref | None, Query(description="Name of a model.")] = None,
) -> BlockDraft | None:
    given = {"endpoint": endpoint, "key": key, "provider": provider, "model": model}
    named = [(What(what), ref) for what, ref in given.items() if ref is not None]
    if len(named) > 1:
        raise InvalidRequest(
            "A block is of one thing, and the filter names several.", fix="Name one of them."
        )
    return BlockDraft(*named[0], environment) if named else None


@router.post("", status_code=201, responses=problems(Forbidden, NotFound, AlreadyBlocked))
async def create(body: BlockCreate, caller: Caller, tx: WriteTx) -> BlockOut:
    """Stop an endpoint, key, provider or model at once, on every gateway."""
    return BlockOut.of(await blocks.create(tx, caller, body.draft()))


@router.get("", responses=problems(Forbidden, NotFound))
async def list(  # noqa: A001
    caller: Caller,
    tx: ReadTx,
    window: Paging,
    of: Annotated[BlockDraft | None, Depends(_of)],
) -> Page[BlockOut]:
    """List what is blocked, or what blocks one thing."""
    return Page.of(await blocks.list(tx, caller, window, of=of), BlockOut.of)


@router.get("/{block}", responses=problems(NotFound))
async def get(block: Ref, caller: Caller, tx: ReadTx) -> BlockOut:
    """Return a block."""
    return BlockOut.of(await blocks.get(tx, caller, block))


@router.delete(
    "/{block}", status_code=204, responses=problems(NotFound, Forbidden, RevisionConflict)
)
async def delete(block: Ref, caller: Caller, tx: WriteTx, if_match: IfMatch) -> None:
    """Let something go again."""
    await blocks.delete(tx, caller, block, if_match=if_match)
