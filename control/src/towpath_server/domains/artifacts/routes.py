"""Routes of artifacts: content by digest, uploads that survive a cut, and what nothing needs."""

from typing import Annotated

from fastapi import Depends, Header, Query, Request, Response

from towpath_server.adapters import facilities
from towpath_server.adapters.facilities import Facilities
from towpath_server.adapters.objectstore.errors import (
    ArtifactMissing,
    ArtifactTooLarge,
    BeingRemoved,
    BucketMissing,
    DigestMalformed,
    DigestMismatch,
    OffsetConflict,
    StorageDenied,
    StorageFailed,
    StorageFull,
    StorageUntrusted,
)
from towpath_server.core.errors import Forbidden, NotFound, RevisionConflict
from towpath_server.domains.artifacts import service as artifacts
from towpath_server.domains.artifacts.errors import (
    TooManyUploads,
    UploadIncomplete,
    UploadTooLong,
)
from towpath_server.domains.artifacts.models import Depot
from towpath_server.domains.artifacts.schemas import (
    BlobOut,
    CollectedOut,
    UploadCreate,
    UploadOut,
)
from towpath_server.web import edge
from towpath_server.web.deps import Caller, IfMatch, Paging, Platform
from towpath_server.web.paging import Page
from towpath_server.web.problems import problems
from towpath_server.web.schemas import Ref

blobs = edge.router("artifact", "/blobs", streaming=True)
uploads = edge.router("upload", "/uploads", streaming=True)
router = edge.router("artifact", "/artifacts", streaming=True)

Machine = Annotated[Facilities, Depends(facilities.of)]
Offset = Annotated[
    int, Header(alias="upload-offset", ge=0, description="Where the body begins in the file.")
]


def _depot(platform: Platform, machine: Machine) -> Depot:
    return Depot(platform.db, machine.artifacts, machine.upload_lasts_s)


InDepot = Annotated[Depot, Depends(_depot)]
_STORE = (StorageFull, StorageFailed, StorageDenied, StorageUntrusted, BucketMissing)


@blobs.put(
    "/{digest}",
    status_code=201,
    responses=problems(
        Forbidden, DigestMalformed, DigestMismatch, ArtifactTooLarge, BeingRemoved, *_STORE
    ),
)
async def upload(digest: str, request: Request, caller: Caller, depot: InDepot) -> BlobOut:
    """Upload content under its digest (`sha256:…`); the body is the bytes themselves."""
    size = await artifacts.upload(depot, caller, digest, request.stream())
    return BlobOut(digest=digest, size=size)


@blobs.head("/{digest}", responses=problems(Forbidden, DigestMalformed, ArtifactMissing, *_STORE))
async def check(digest: str, caller: Caller, depot: InDepot) -> Response:
    """Tell whether you need not upload this content, because you or your team already did."""
    size = await artifacts.uploaded_size(depot, caller, digest)
    return Response(headers={"x-content-size": str(size)})


@uploads.post(
    "",
    status_code=201,
    responses={
        200: {"model": UploadOut},
        **problems(Forbidden, ArtifactTooLarge, TooManyUploads, *_STORE),
    },
)
async def begin(
    body: UploadCreate, caller: Caller, depot: InDepot, machine: Machine, response: Response
) -> UploadOut:
    """Begin an upload, or go on with your own of the same content: 200, with where it stands."""
    artifacts.check_size(body.size, machine.max_file_bytes)
    found, fresh = await artifacts.begin(depot, caller, digest=body.digest, size=body.size)
    response.status_code = 201 if fresh else 200
    return UploadOut.of(found, lasts_s=depot.lasts_s)


@uploads.get("", responses=problems(Forbidden))
async def list(  # noqa: A001
    caller: Caller, depot: InDepot, window: Paging
) -> Page[UploadOut]:
    """List your uploads that are not finished."""
    found = await artifacts.list(depot, caller, window)
    return Page.of(found, lambda one: UploadOut.of(one, lasts_s=depot.lasts_s))


@uploads.get("/{upload}", responses=problems(NotFound, Forbidden, *_STORE))
async def get(upload: Ref, caller: Caller, depot: InDepot) -> UploadOut:
    """Return an upload, and how far it is."""
    found = await artifacts.get(depot, caller, upload)
    return UploadOut.of(found, lasts_s=depot.lasts_s)


@uploads.head("/{upload}", responses=problems(NotFound, Forbidden, *_STORE))
async def check_upload(upload: Ref, caller: Caller, depot: InDepot) -> Response:
    """Tell in headers how far an upload is."""
    found = await artifacts.get(depot, caller, upload)
    return Response(
        headers={"upload-offset": str(found.offset), "upload-length": str(found.upload.size_bytes)}
    )


@uploads.patch(
    "/{upload}",
    responses=problems(NotFound, Forbidden, OffsetConflict, UploadTooLong, *_STORE),
)
async def append(
    upload: Ref,
    request: Request,
    caller: Caller,
    depot: InDepot,
    offset: Offset,
) -> UploadOut:
    """Add the body to an upload; what came stays, even when the connection breaks."""
    found = await artifacts.append(depot, caller, upload, offset, request.stream())
    return UploadOut.of(found, lasts_s=depot.lasts_s)


@uploads.post(
    "/{upload}/finish",
    responses=problems(
        NotFound, Forbidden, UploadIncomplete, DigestMismatch, BeingRemoved, *_STORE
    ),
)
async def finish_upload(upload: Ref, caller: Caller, depot: InDepot) -> BlobOut:
    """Store what came under its digest, which all of it must have."""
    digest, size = await artifacts.finish(depot, caller, upload)
    return BlobOut(digest=digest, size=size)


@uploads.delete(
    "/{upload}", status_code=204, responses=problems(NotFound, Forbidden, RevisionConflict, *_STORE)
)
async def discard(upload: Ref, caller: Caller, depot: InDepot, if_match: IfMatch) -> None:
    """Give an upload up."""
    await artifacts.discard(depot, caller, upload, if_match=if_match)


@router.post("/collect", responses=problems(Forbidden, *_STORE))
async def collect_artifacts(
    caller: Caller,
    depot: InDepot,
    *,
    dry_run: Annotated[bool, Query(description="Only say what would go.")] = False,
) -> CollectedOut:
    """Remove the content that no version, deployment or recent upload needs."""
    found = await artifacts.collect(depot, caller, dry_run=dry_run)
    return CollectedOut.of(found, dry_run=dry_run)
