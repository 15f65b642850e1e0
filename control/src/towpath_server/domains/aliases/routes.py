"""Routes of aliases."""

from typing import Annotated

from fastapi import Query

from towpath_server.core.errors import Forbidden, InUse, NotFound, RevisionConflict
from towpath_server.domains.aliases import service as aliases
from towpath_server.domains.aliases.schemas import AliasName, AliasOut, AliasSet, MoveOut
from towpath_server.web import edge
from towpath_server.web.deps import Caller, IfMatch, Paging, ReadTx, WriteTx
from towpath_server.web.paging import Page
from towpath_server.web.problems import problems
from towpath_server.web.schemas import Ref, Text

router = edge.router("alias", "/models/{model}/aliases")


@router.get("", responses=problems(NotFound))
async def list(model: Ref, caller: Caller, tx: ReadTx, window: Paging) -> Page[AliasOut]:  # noqa: A001
    """List the aliases of a model."""
    return Page.of(await aliases.list(tx, caller, model, window), AliasOut.of)


@router.get("/{alias}", responses=problems(NotFound))
async def get(model: Ref, alias: Ref, caller: Caller, tx: ReadTx) -> AliasOut:
    """Return an alias, by name or id."""
    return AliasOut.of(await aliases.get(tx, caller, model, alias))


@router.put("/{alias}", responses=problems(NotFound, Forbidden, RevisionConflict))
async def set(  # noqa: A001, PLR0917 (what the edge gives)
    model: Ref, alias: AliasName, body: AliasSet, caller: Caller, tx: WriteTx, if_match: IfMatch
) -> AliasOut:
    """Point an alias at a version; deployments stay at the version they resolved to."""
    moved = await aliases.set(
        tx, caller, model, alias, number=body.version, reason=body.reason, if_match=if_match
    )
    return AliasOut.of(moved)


@router.delete(
    "/{alias}", status_code=204, responses=problems(NotFound, Forbidden, InUse, RevisionConflict)
)
async def delete(  # noqa: PLR0917 (what the edge gives)
    model: Ref,
    alias: Ref,
    caller: Caller,
    tx: WriteTx,
    if_match: IfMatch,
    reason: Annotated[Text | None, Query(description="Why; it stands in the log.")] = None,
) -> None:
    """Delete an alias that no deployment was declared by; its log stays."""
    await aliases.delete(tx, caller, model, alias, reason=reason, if_match=if_match)


@router.get("/{alias}/history", responses=problems(NotFound))
async def list_history(
    model: Ref, alias: Ref, caller: Caller, tx: ReadTx, window: Paging
) -> Page[MoveOut]:
    """List the moves of an alias, newest first: who, when, from, to and why."""
    return Page.of(await aliases.history(tx, caller, model, alias, window), MoveOut.of)
