"""Imports on the wire."""

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from towpath_server.domains.imports.models import Import, Order, Phase
from towpath_server.domains.models.service import MAX_TAGS
from towpath_server.web.schemas import In, Out, Ref, Resource, at, at_or_none, printable

Format = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
TagKey = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}$")]
TagValue = Annotated[str, StringConstraints(max_length=256), AfterValidator(printable)]


class ImportCreate(In):
    """A model that is to be brought from outside."""

    uri: Annotated[str, StringConstraints(min_length=1, max_length=2_000)] = Field(
        description="`hf://owner/name:revision`, `oci://registry/repository:tag`, "
        "`s3://bucket/prefix` or `https://host/file#sha256=…`.",
        examples=["hf://acme/triage:main"],
    )
    project: Ref | None = Field(
        None, description="Creates the model in this project when there is none of this name."
    )
    format: Format | None = Field(None, description="Absent: told by the names of the files.")
    licence: Annotated[str, AfterValidator(printable)] | None = Field(
        None, max_length=200, description="By its SPDX name. Absent: as the source tells it."
    )
    tags: dict[TagKey, TagValue] = Field(
        default_factory=dict, max_length=MAX_TAGS, description="Of the version."
    )

    def order(self, model: str) -> Order:
        """Read it."""
        return Order(
            model=model,
            uri=self.uri,
            project=self.project,
            format=self.format,
            licence=self.licence,
            tags=self.tags,
        )


class AmountOut(Out):
    """How much has come, of how much."""

    done: int
    total: int | None = Field(description="Null as long as it is not known.")


class ImportOut(Resource):
    """A model on its way into the registry, and after that what became of it."""

    model: str
    project: str = Field(description="`team/project`.")
    uri: str
    pinned: str | None = Field(
        description="A URI of exactly the content that comes; null before the source was listed."
    )
    phase: Phase
    bytes: AmountOut
    files: AmountOut
    format: str | None
    version: int | None = Field(description="Number of the version that it became.")
    attempts: int = Field(description="Failed ones since a file came.")
    retry_at: datetime | None = Field(description="When it is tried again.")
    reason: str | None = Field(
        description="Why it failed, or why the last attempt did, in one word."
    )
    message: str | None
    fix: str | None
    created_by: str
    ended_at: datetime | None

    @classmethod
    def of(cls, found: Import) -> "ImportOut":
        """Write an import."""
        progress, trouble = found.progress, found.trouble
        return cls(
            id=found.id,
            revision=found.revision,
            created_at=at(found.created_at_ms),
            updated_at=at(found.updated_at_ms),
            model=found.model,
            project=found.project,
            uri=found.uri,
            pinned=found.pinned,
            phase=found.phase,
            bytes=AmountOut(done=progress.bytes_done, total=progress.bytes_total),
            files=AmountOut(done=progress.files_done, total=progress.files_total),
            format=found.format,
            version=found.version,
            attempts=found.attempts,
            retry_at=at_or_none(found.retry_at_ms),
            reason=trouble.reason if trouble else None,
            message=trouble.message if trouble else None,
            fix=trouble.fix if trouble else None,
            created_by=found.by_name,
            ended_at=at_or_none(found.ended_at_ms),
        )
