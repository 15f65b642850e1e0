"""Artifacts on the wire."""

from datetime import datetime
from typing import Annotated

from pydantic import Field, StringConstraints

from towpath_server.adapters.objectstore.store import MAX_FILE_BYTES
from towpath_server.domains.artifacts.models import Collected, UploadState
from towpath_server.web.schemas import In, Out, Resource, at

Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]


class BlobOut(Out):
    """Stored content."""

    digest: str
    size: int


class UploadCreate(In):
    """A file that is to come."""

    digest: Digest
    size: int = Field(ge=1, le=MAX_FILE_BYTES, description="In bytes.")


class UploadOut(Resource):
    """A file on its way in."""

    digest: str
    size: int
    offset: int = Field(description="Bytes that are there; the next piece begins here.")
    expires_at: datetime = Field(description="When it is forgotten unless somebody goes on.")

    @classmethod
    def of(cls, state: UploadState, *, lasts_s: int) -> "UploadOut":
        """Write an upload; it lasts so long after it was last gone on with."""
        upload = state.upload
        return cls(
            id=upload.id,
            revision=upload.revision,
            created_at=at(upload.created_at_ms),
            updated_at=at(upload.updated_at_ms),
            digest=upload.digest,
            size=upload.size_bytes,
            offset=state.offset,
            expires_at=at(upload.updated_at_ms + lasts_s * 1_000),
        )


class CollectedOut(Out):
    """What nothing needed."""

    dry_run: bool = Field(description="Nothing was removed.")
    files: int
    size: int = Field(description="Their bytes.")
    uploads: int = Field(description="Uploads that nobody went on with.")

    @classmethod
    def of(cls, collected: Collected, *, dry_run: bool) -> "CollectedOut":
        """Write what a collection came to."""
        return cls(
            dry_run=dry_run,
            files=collected.files,
            size=collected.size_bytes,
            uploads=collected.uploads,
        )
