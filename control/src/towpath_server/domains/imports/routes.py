"""Routes of imports."""

from typing import Annotated

from fastapi import Depends, Path, Query

from towpath_server.adapters import facilities
from towpath_server.adapters.facilities import Facilities
from towpath_server.core.errors import Forbidden, NotFound, RevisionConflict
from towpath_server.domains.imports import service as imports
from towpath_server.domains.imports.errors import SourceUnusable, TooManyImports
from towpath_server.domains.imports.schemas import ImportCreate, ImportOut
from towpath_server.web import edge
from towpath_server.web.deps import Caller, IfMatch, Paging, ReadTx, WriteTx
from towpath_server.web.paging import Page
from towpath_server.web.problems import problems
from towpath_server.web.schemas import Ref

Machine = Annotated[Facilities, Depends(facilities.of)]
model_router = edge.router("import", "/models/{model}/imports")
router = edge.router("import", "/imports")


@model_router.post(
    "",
    status_code=202,
    responses=problems(NotFound, Forbidden, SourceUnusable, TooManyImports),
)
async def create(
    model: Ref, body: ImportCreate, caller: Caller, tx: WriteTx, machine: Machine
) -> ImportOut:
    """
    Bring a model from outside into the registry, as the next version.

    It goes on by itself. The same URI again, while it is under way, is the same import.
    """
    return ImportOut.of(await imports.begin(tx, caller, body.order(model), facilities=machine))


@router.get("", responses=problems(Forbidden))
async def list(  # noqa: A001
    caller: Caller,
    tx: ReadTx,
    window: Paging,
    model: Annotated[Ref | None, Query(description="Name of a model.")] = None,
) -> Page[ImportOut]:
    """List imports of the last 30 days, newest first."""
    return Page.of(await imports.list(tx, caller, window, model=model), ImportOut.of)


@router.get("/{import}", responses=problems(NotFound))
async def get(
    import_: Annotated[Ref, Path(alias="import")], caller: Caller, tx: ReadTx
) -> ImportOut:
    """Return an import: how far it is, or what became of it."""
    return ImportOut.of(await imports.get(tx, caller, import_))


@router.delete(
    "/{import}", status_code=204, responses=problems(NotFound, Forbidden, RevisionConflict)
)
async def delete(
    import_: Annotated[Ref, Path(alias="import")], caller: Caller, tx: WriteTx, if_match: IfMatch
) -> None:
    """Cancel an import, or forget one that has ended; a version that it made stays."""
    await imports.cancel(tx, caller, import_, if_match=if_match)
