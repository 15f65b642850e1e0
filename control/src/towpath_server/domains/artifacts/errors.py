"""What can be wrong with an upload."""

from towpath_server.core.errors import Kind, TowpathError


class UploadIncomplete(TowpathError):
    """An upload is to be finished before all of its bytes came."""

    code = "upload_incomplete"
    kind = Kind.CONFLICT
    title = "Upload is not complete"

    def __init__(self, offset: int, size: int) -> None:
        super().__init__(
            f"{offset} of {size} bytes of the upload are there.",
            fix=f"Send the rest: `PATCH /api/v1/uploads/{{id}}` with `Upload-Offset: {offset}`.",
        )


class UploadTooLong(TowpathError):
    """More bytes come than an upload was announced with."""

    code = "upload_too_long"
    kind = Kind.INVALID
    title = "Upload is longer than announced"

    def __init__(self, size: int) -> None:
        super().__init__(
            f"The upload was announced with {size} bytes, and more came.",
            fix="Delete it and begin a new one with the size that the file has.",
        )


class TooManyUploads(TowpathError):
    """A caller has begun more uploads than may be open at a time."""

    code = "too_many_uploads"
    kind = Kind.CONFLICT
    title = "Too many open uploads"

    def __init__(self, limit: int) -> None:
        super().__init__(
            f"{limit} uploads of yours are open, as many as may be.",
            fix="Finish or delete some: `GET /api/v1/uploads` lists them.",
        )
