"""Routes of models and their versions."""

from typing import Annotated

from fastapi import Depends, Path, Query, Request, Response
from starlette.responses import StreamingResponse

from towpath_server.adapters import facilities
from towpath_server.adapters.facilities import Facilities
from towpath_server.core.errors import (
    Forbidden,
    InUse,
    InvalidRequest,
    NameTaken,
    NotFound,
    RevisionConflict,
)
from towpath_server.domains.models import service as models
from towpath_server.domains.models.errors import FilesUnknown
from towpath_server.domains.models.models import Search
from towpath_server.domains.models.schemas import (
    ModelCreate,
    ModelOut,
    ModelUpdate,
    VersionCreate,
    VersionOut,
    VersionUpdate,
    search,
    visibility,
)
from towpath_server.domains.scans.errors import ArtifactRefused
from towpath_server.web import edge, ranges
from towpath_server.web.deps import Caller, IfMatch, Paging, Platform, ReadTx, WriteTx
from towpath_server.web.paging import Page
from towpath_server.web.problems import problems
from towpath_server.web.schemas import Ref

router = edge.router("model", "/models")
files = edge.router("model", "/models", streaming=True)
Machine = Annotated[Facilities, Depends(facilities.of)]
Word = Annotated[str, Query(min_length=1, max_length=200)]


def _search(
    text: Annotated[Word | None, Query(alias="search", description="In name, description.")] = None,
    tag: Annotated[
        list[Annotated[str, Query(max_length=320)]] | None,
        Query(description="`key` or `key=value`, of the model or any version; may be repeated."),
    ] = None,
    format: Annotated[Word | None, Query(description="Of any version.")] = None,  # noqa: A002
    licence: Annotated[Word | None, Query(description="Of any version.")] = None,
) -> Search:
    return search(text, tag, format, licence)


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
        tags=body.tags,
    )
    return ModelOut.of(model)


@router.get("", responses=problems(InvalidRequest))
async def list(  # noqa: A001
    caller: Caller,
    tx: ReadTx,
    window: Paging,
    wanted: Annotated[Search, Depends(_search)],
) -> Page[ModelOut]:
    """List the models that you may deploy, or search them."""
    return Page.of(await models.list(tx, caller, window, wanted), ModelOut.of)


@router.get("/{model}", responses=problems(NotFound))
async def get(model: Ref, caller: Caller, tx: ReadTx) -> ModelOut:
    """Return a model, by id or name."""
    return ModelOut.of(await models.get(tx, caller, model))


@router.patch("/{model}", responses=problems(NotFound, Forbidden, RevisionConflict))
async def update(
    model: Ref, body: ModelUpdate, caller: Caller, tx: WriteTx, if_match: IfMatch
) -> ModelOut:
    """Change who sees a model, its description or its tags."""
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


@router.patch(
    "/{model}/versions/{version}", responses=problems(NotFound, Forbidden, RevisionConflict)
)
async def update_version(  # noqa: PLR0917 (what the edge gives)
    model: Ref, version: int, body: VersionUpdate, caller: Caller, tx: WriteTx, if_match: IfMatch
) -> VersionOut:
    """Change the tags of a version; all else of it stays as it was registered."""
    changed = await models.update_version(
        tx, caller, model, version, tags=body.tags, if_match=if_match
    )
    return VersionOut.of(changed)


@files.get(
    "/{model}/versions/{version}/files/{path:path}",
    response_class=StreamingResponse,
    responses={
        206: {"description": "The part that `Range` names."},
        304: {"description": "`If-None-Match` names the file's digest."},
        **problems(NotFound, ranges.RangeNotSatisfiable),
    },
)
async def get_version_file(  # noqa: PLR0917 (what the edge gives)
    model: Ref,
    version: int,
    path: Annotated[str, Path(max_length=500)],
    request: Request,
    caller: Caller,
    platform: Platform,
    machine: Machine,
) -> Response:
    """Return the bytes of a file, or a part of them; its `ETag` is its digest."""
    async with platform.db.read() as tx:
        file = await models.file_of(tx, caller, model, version, path)
    part = ranges.part(request.headers, digest=file.digest, size=file.size)
    if part.unchanged:
        return Response(status_code=304, headers=part.headers)
    return StreamingResponse(
        machine.artifacts.chunks(file.digest, offset=part.start, length=part.length),
        part.status,
        {**part.headers, "content-disposition": "attachment"},
        media_type="application/octet-stream",
    )
