"""Files on the wire, as OpenAI's clients read and write them."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from towpath_server.core.paging import Slice
from towpath_server.domains.files.models import File
from towpath_server.web import problems
from towpath_server.web.multipart import Form
from towpath_server.web.schemas import Out

_MAX_LASTS_S = 30 * 24 * 3_600  # what OpenAI's API takes


class FileUpload(BaseModel):
    """The fields of an upload beside the file itself."""

    model_config = ConfigDict(extra="forbid")

    purpose: Literal["batch"]
    filename: Annotated[str, StringConstraints(min_length=1, max_length=255)]
    anchor: Literal["created_at"] = Field("created_at", alias="expires_after[anchor]")
    lasts_s: int | None = Field(
        None, ge=3_600, le=_MAX_LASTS_S, alias="expires_after[seconds]", strict=False
    )

    @classmethod
    def of(cls, form: Form) -> "FileUpload":
        """
        Read the fields of a form.

        Raises:
            InvalidRequest: A field is missing, unknown or wrong, or there is no file.
        """
        fields: dict[str, str] = dict(form.fields)
        if form.filename is not None:
            fields["filename"] = form.filename
        try:
            return cls.model_validate(fields)
        except ValidationError as error:
            entries = [
                {
                    **entry,
                    "loc": ("body", "file" if entry["loc"] == ("filename",) else entry["loc"][0]),
                }
                for entry in error.errors(include_url=False, include_input=False)
            ]
            raise problems.invalid(entries) from error


class FileOut(Out):
    """A file."""

    id: str
    object: Literal["file"] = "file"
    bytes: int
    created_at: int = Field(description="Seconds since the epoch.")
    expires_at: int | None = None
    filename: str
    purpose: str
    status: Literal["processed"] = "processed"

    @classmethod
    def of(cls, file: File) -> "FileOut":
        """Write a file."""
        return cls(
            id=file.id,
            bytes=file.size_bytes,
            created_at=file.created_at_ms // 1_000,
            expires_at=None if file.expires_at_ms is None else file.expires_at_ms // 1_000,
            filename=file.filename,
            purpose=file.purpose.value,
        )


class FileList(Out):
    """A part of the list of files."""

    object: Literal["list"] = "list"
    data: list[FileOut]
    first_id: str | None
    last_id: str | None
    has_more: bool

    @classmethod
    def of(cls, found: Slice[File]) -> "FileList":
        """Write a slice."""
        data = [FileOut.of(file) for file in found.items]
        return cls(
            data=data,
            first_id=data[0].id if data else None,
            last_id=data[-1].id if data else None,
            has_more=found.next is not None,
        )


class FileDeleted(Out):
    """Says that a file is gone."""

    id: str
    object: Literal["file"] = "file"
    deleted: Literal[True] = True
