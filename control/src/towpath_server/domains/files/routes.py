"""Routes of files, in OpenAI's dialect: `/v1/files`."""

from typing import Annotated

from fastapi import Depends, Query, Request
from starlette.responses import StreamingResponse

from towpath_server.adapters import facilities
from towpath_server.adapters.facilities import Facilities
from towpath_server.adapters.objectstore.errors import StorageFull
from towpath_server.core.errors import Forbidden, InUse, NotFound
from towpath_server.core.paging import Window
from towpath_server.domains.files import service as files
from towpath_server.domains.files.errors import FileTooLarge
from towpath_server.domains.files.models import Order
from towpath_server.domains.files.schemas import FileDeleted, FileList, FileOut, FileUpload
from towpath_server.web import edge
from towpath_server.web.deps import Caller, Platform, ReadTx, WriteTx
from towpath_server.web.multipart import FORM_BODY, Form
from towpath_server.web.problems import problems
from towpath_server.web.schemas import Ref

router = edge.router("file", "/v1/files")
streams = edge.router("file", "/v1/files", streaming=True)

Machine = Annotated[Facilities, Depends(facilities.of)]
_MAX_LIMIT = 10_000  # what OpenAI's API takes


@streams.post(
    "", openapi_extra={**FORM_BODY}, responses=problems(Forbidden, FileTooLarge, StorageFull)
)
async def upload(request: Request, caller: Caller, platform: Platform, machine: Machine) -> FileOut:
    """Upload a file for batches, as a form with `file` and `purpose`."""
    form = Form.of(request)
    blob = await files.receive(platform.db, machine.files, caller, form.file(), machine.batches)
    fields = FileUpload.of(form)
    async with platform.db.write() as tx:
        file = await files.create(
            tx, caller, blob, filename=fields.filename, lasts_s=fields.lasts_s
        )
    return FileOut.of(file)


@router.get("", responses=problems(Forbidden))
async def list(  # noqa: A001, PLR0917 (the parameters are OpenAI's)
    caller: Caller,
    tx: ReadTx,
    limit: Annotated[int, Query(ge=1, le=_MAX_LIMIT)] = _MAX_LIMIT,
    after: Ref | None = None,
    order: Order = Order.DESC,
    purpose: Ref | None = None,
) -> FileList:
    """List the files of your key's project and environment, newest first."""
    window = Window(limit, after)
    return FileList.of(await files.list(tx, caller, window, purpose=purpose, order=order))


@router.get("/{file}", responses=problems(NotFound))
async def get(file: Ref, caller: Caller, tx: ReadTx) -> FileOut:
    """Return what is known of a file."""
    return FileOut.of(await files.get(tx, caller, file))


@streams.get("/{file}/content", response_class=StreamingResponse, responses=problems(NotFound))
async def get_content(
    file: Ref, caller: Caller, platform: Platform, machine: Machine
) -> StreamingResponse:
    """Return a file's bytes."""
    async with platform.db.read() as tx:
        found = await files.get(tx, caller, file)
    return StreamingResponse(
        machine.files.chunks(found.digest),
        media_type="application/octet-stream",
        headers={"content-length": str(found.size_bytes)},
    )


@router.delete("/{file}", responses=problems(NotFound, Forbidden, InUse))
async def delete(file: Ref, caller: Caller, tx: WriteTx) -> FileDeleted:
    """Delete a file that no batch needs any more."""
    return FileDeleted(id=(await files.delete(tx, caller, file)).id)
