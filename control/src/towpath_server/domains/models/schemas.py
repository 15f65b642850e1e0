"""Models on the wire."""

import json
from dataclasses import asdict
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StringConstraints, field_validator

from towpath_server.adapters.objectstore.store import MAX_FILE_BYTES, StoredFile
from towpath_server.core import licences
from towpath_server.core.errors import Finding, InvalidRequest
from towpath_server.core.formats import FORMATS
from towpath_server.domains.models.models import (
    Model,
    ModelVersion,
    Search,
    VersionDraft,
    Visibility,
)
from towpath_server.domains.models.service import MAX_TAGS
from towpath_server.web.schemas import In, Name, Out, Ref, Resource, Text, at, printable

Digest = Annotated[str, StringConstraints(pattern=r"^sha256:[0-9a-f]{64}$")]
Format = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
FilePath = Annotated[str, StringConstraints(min_length=1, max_length=500)]
VisibilityName = Literal["project", "team", "organization"]
TensorType = Literal[
    "BOOL",
    "UINT8",
    "UINT16",
    "UINT32",
    "UINT64",
    "INT8",
    "INT16",
    "INT32",
    "INT64",
    "FP16",
    "FP32",
    "FP64",
    "BYTES",
]


TagKey = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,62}$")]
TagValue = Annotated[str, StringConstraints(max_length=256), AfterValidator(printable)]
_MAX_SEARCHED = 8  # words and tags of one search, each a condition on every model
_MAX_DETAILS_BYTES = 64 << 10  # what a training run says of itself; more belongs into a file


class ModelCreate(In):
    """A new name in the registry."""

    name: Name
    project: Ref = Field(examples=["customer-care/triage"])
    visibility: VisibilityName = "project"
    description: Text | None = None
    tags: dict[TagKey, TagValue] = Field(default_factory=dict, max_length=MAX_TAGS)


class ModelUpdate(In):
    """What may change; what is absent stays."""

    visibility: VisibilityName | None = None
    description: Text | None = None
    tags: dict[TagKey, TagValue | None] | None = Field(
        None, max_length=2 * MAX_TAGS, description="What is not named stays; null takes one away."
    )

    def changes(self) -> dict[str, Any]:
        """Return what was sent."""
        found = {name: getattr(self, name) for name in self.model_fields_set}
        if found.get("visibility", "") is None:
            del found["visibility"]
        return {name: value for name, value in found.items() if name != "tags" or value}


class ModelOut(Resource):
    """A name in the registry."""

    name: str
    team: str
    project: str
    visibility: str
    description: str | None
    tags: dict[str, str]
    latest_version: int | None = Field(description="Number of its newest version.")

    @classmethod
    def of(cls, model: Model) -> "ModelOut":
        """Write a model."""
        return cls(
            id=model.id,
            revision=model.revision,
            created_at=at(model.created_at_ms),
            updated_at=at(model.updated_at_ms),
            name=model.name,
            team=model.team_id,
            project=model.project_id,
            visibility=model.visibility,
            description=model.description,
            tags=dict(model.tags),
            latest_version=model.latest_version,
        )


class FileOut(In):
    """A file of a version; its bytes are uploaded before, by digest."""

    path: FilePath
    digest: Digest
    size: int = Field(ge=0, le=MAX_FILE_BYTES)


class TensorSpec(In):
    """A named input or output."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    datatype: TensorType
    shape: list[int] = Field(max_length=16, description="-1 is any size; the first is the batch.")


class Signature(In):
    """Names, types and shapes of a model's inputs and outputs, as KServe writes them."""

    inputs: list[TensorSpec] = Field(min_length=1, max_length=1_000)
    outputs: list[TensorSpec] = Field(min_length=1, max_length=1_000)


class Lineage(In):
    """Where a version comes from."""

    base_model: Text | None = Field(None, examples=["models:/minilm/1"])
    dataset: Text | None = Field(None, examples=["triage-2026-10"])
    run: Text | None = Field(None, description="Of the training, such as its id or URL.")
    source: Text | None = Field(None, description="What it was imported from.")
    details: dict[str, Any] = Field(
        default_factory=dict, description="What else is known, as the source tells it."
    )

    @field_validator("details")
    @classmethod
    def _small(cls, value: dict[str, Any]) -> dict[str, Any]:
        if len(json.dumps(value)) > _MAX_DETAILS_BYTES:
            raise ValueError(f"is longer than {_MAX_DETAILS_BYTES} bytes of JSON")
        return value

    def stored(self) -> dict[str, Any]:
        """Return what was given."""
        return {name: value for name, value in self.model_dump().items() if value}


class VersionCreate(In):
    """A new version of a model."""

    format: Format = Field(examples=[*FORMATS])
    files: list[FileOut] = Field(min_length=1, max_length=10_000)
    signature: Signature | None = None
    card: str | None = Field(None, max_length=200_000, description="Markdown.")
    licence: Annotated[str, AfterValidator(printable)] | None = Field(
        None, max_length=200, description="By its SPDX name, if any.", examples=["Apache-2.0"]
    )
    lineage: Lineage = Field(default_factory=Lineage)
    tags: dict[TagKey, TagValue] = Field(default_factory=dict, max_length=MAX_TAGS)
    project: Ref | None = Field(
        None, description="Creates the model in this project when there is none of this name."
    )

    def draft(self) -> VersionDraft:
        """Read it."""
        return VersionDraft(
            format=self.format,
            files=tuple(StoredFile(file.path, file.digest, file.size) for file in self.files),
            signature=self.signature.model_dump() if self.signature else None,
            card=self.card,
            licence=self.licence,
            lineage=self.lineage.stored(),
            tags=self.tags,
        )


class FoundOut(Out):
    """Something in a version's files that runs when it is loaded."""

    path: str
    reason: str
    message: str
    fix: str


class VersionUpdate(In):
    """What may change of a version: its tags."""

    tags: dict[TagKey, TagValue | None] = Field(
        min_length=1,
        max_length=2 * MAX_TAGS,
        description="What is not named stays; null takes one away.",
    )


class VersionOut(Resource):
    """One immutable content of a model."""

    model: str
    version: int
    uri: str
    digest: str
    format: str
    size: int
    files: list[FileOut]
    signature: dict[str, Any] | None
    card: str | None
    licence: str | None
    lineage: dict[str, Any]
    metadata: dict[str, Any] = Field(
        description="Facts that stand in the files: `architecture`, `parameters`, `weights_bytes`, "
        "`quantization`, `context_length`, `layers`, `kv_heads`, `head_dim`, …."
    )
    carries_code: bool = Field(description="Whether loading it runs code that came with it.")
    findings: list[FoundOut] = Field(description="What of it is code, where it carries some.")
    tags: dict[str, str]
    example: dict[str, Any] | None = Field(
        description="The request that the card shows under its heading `Example`."
    )

    @classmethod
    def of(cls, version: ModelVersion) -> "VersionOut":
        """Write a version."""
        return cls(
            id=version.id,
            revision=version.revision,
            created_at=at(version.created_at_ms),
            updated_at=at(version.updated_at_ms),
            model=version.model_name,
            version=version.number,
            uri=version.uri,
            digest=version.digest,
            format=version.format,
            size=version.size_bytes,
            files=[FileOut(path=f.path, digest=f.digest, size=f.size) for f in version.files],
            signature=dict(version.signature) if version.signature else None,
            card=version.card,
            licence=version.licence,
            lineage=dict(version.lineage),
            metadata=dict(version.scanned.metadata),
            carries_code=version.scanned.carries_code,
            findings=[FoundOut(**asdict(one)) for one in version.scanned.findings],
            tags=dict(version.tags),
            example=dict(version.example) if version.example is not None else None,
        )


def visibility(name: str) -> Visibility:
    """Read a visibility."""
    return Visibility(name)


def search(
    text: str | None,
    tags: list[str] | None,
    form: str | None,
    licence: str | None,
) -> Search:
    """
    Read what is searched for.

    Raises:
        InvalidRequest: There are more words or tags than a search takes.
    """
    words, pairs = (text or "").split(), tags or []
    if len(words) > _MAX_SEARCHED or len(pairs) > _MAX_SEARCHED:
        where = "?search" if len(words) > _MAX_SEARCHED else "?tag"
        detail = f"A search takes at most {_MAX_SEARCHED} words and as many tags."
        raise InvalidRequest(
            detail, fix="Search for fewer.", findings=[Finding(where, detail, reason="TooMany")]
        )
    split = [tag.partition("=") for tag in pairs]
    return Search(
        words=tuple(words),
        tags=tuple((key, value if separator else None) for key, separator, value in split),
        format=form,
        licence=licences.canonical(licence) if licence else None,
    )
