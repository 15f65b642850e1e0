"""Routes of models and their versions."""

from typing import Annotated

from fastapi import Depends, Response

from towpath_server.adapters import facilities
from towpath_server.adapters.facilities import Facilities
from towpath_server.core.errors import Forbidden, InUse, NameTaken, NotFound, RevisionConflict
from towpath_server.domains.models import service as models
from towpath_server.domains.models.errors import FilesUnknown
from towpath_server.domains.models.schemas import (
    ModelCreate,
    ModelOut,
    ModelUpdate,
    VersionCreate,
    VersionOut,
    visibility,
)
from towpath_server.domains.scans.errors import ArtifactRefused
from towpath_server.web import edge
from towpath_server.web.deps import Caller, IfMatch, Paging, ReadTx, WriteTx
from towpath_server.web.paging import Page
from towpath_server.web.problems import problems
from towpath_server.web.schemas import Ref

router = edge.router("model", "/models")
Machine = Annotated[Facilities, Depends(facilities.of)]


@router.post("", status_code=201, responses=problems(NotFound, Forbidden, NameTaken))
async def create(body: ModelCreate, caller: Caller, tx: WriteTx) -> ModelOut:
    """Take a name in the registry."""
    model = await models.create(
        tx,
        caller,
        name=body.name,
        project=body.project,
        visibility=visibility(body.visibility),
        description=body.description,
    )
    return ModelOut.of(model)


@router.get("")
async def list(caller: Caller, tx: ReadTx, window: Paging) -> Page[ModelOut]:  # noqa: A001
    """List the models that you may deploy."""
    return Page.of(await models.list(tx, caller, window), ModelOut.of)


@router.get("/{model}", responses=problems(NotFound))
async def get(model: Ref, caller: Caller, tx: ReadTx) -> ModelOut:
    """Return a model, by id or name."""
    return ModelOut.of(await models.get(tx, caller, model))


@router.patch("/{model}", responses=problems(NotFound, Forbidden, RevisionConflict))
async def update(
    model: Ref, body: ModelUpdate, caller: Caller, tx: WriteTx, if_match: IfMatch
) -> ModelOut:
    """Change who sees a model, or its description."""
    return ModelOut.of(await models.update(tx, caller, model, body.changes(), if_match=if_match))


@router.delete(
    "/{model}", status_code=204, responses=problems(NotFound, Forbidden, InUse, RevisionConflict)
)
async def delete(model: Ref, caller: Caller, tx: WriteTx, if_match: IfMatch) -> None:
    """Delete a model that no deployment serves."""
    await models.delete(tx, caller, model, if_match=if_match)


@router.post(
    "/{model}/versions",
    status_code=201,
    responses={
        200: {"model": VersionOut},
        **problems(NotFound, Forbidden, FilesUnknown, ArtifactRefused),
    },
)
async def create_version(  # noqa: PLR0917 (FastAPI passes them by name)
    model: Ref,
    body: VersionCreate,
    caller: Caller,
    tx: WriteTx,
    response: Response,
    machine: Machine,
) -> VersionOut:
    """Register uploaded files, once they are scanned, as the next version; 200 when it is there."""
    version, fresh = await models.add_version(
        tx, caller, model, body.draft(), facilities=machine, project=body.project
    )
    response.status_code = 201 if fresh else 200
    return VersionOut.of(version)


@router.get("/{model}/versions", responses=problems(NotFound))
async def list_versions(model: Ref, caller: Caller, tx: ReadTx, window: Paging) -> Page[VersionOut]:
    """List the versions of a model, oldest first."""
    return Page.of(await models.list_versions(tx, caller, model, window), VersionOut.of)


@router.get("/{model}/versions/{version}", responses=problems(NotFound))
async def get_version(model: Ref, version: int, caller: Caller, tx: ReadTx) -> VersionOut:
    """Return a version by its number."""
    return VersionOut.of(await models.get_version(tx, caller, model, version))
