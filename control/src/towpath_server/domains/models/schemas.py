"""Models on the wire."""

from dataclasses import asdict
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from towpath_server.adapters.objectstore.store import MAX_FILE_BYTES, StoredFile
from towpath_server.domains.models.models import Model, ModelVersion, VersionDraft, Visibility
from towpath_server.web.schemas import In, Name, Out, Ref, Resource, Text, at

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


class ModelCreate(In):
    """A new name in the registry."""

    name: Name
    project: Ref = Field(examples=["customer-care/triage"])
    visibility: VisibilityName = "project"
    description: Text | None = None


class ModelUpdate(In):
    """What may change; what is absent stays."""

    visibility: VisibilityName | None = None
    description: Text | None = None

    def changes(self) -> dict[str, Any]:
        """Return what was sent."""
        found = {name: getattr(self, name) for name in self.model_fields_set}
        if found.get("visibility", "") is None:
            del found["visibility"]
        return found


class ModelOut(Resource):
    """A name in the registry."""

    name: str
    team: str
    project: str
    visibility: str
    description: str | None

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


class VersionCreate(In):
    """A new version of a model."""

    format: Format = Field(examples=["onnx", "gguf"])
    files: list[FileOut] = Field(min_length=1, max_length=10_000)
    signature: Signature | None = None
    card: str | None = Field(None, max_length=200_000, description="Markdown.")
    licence: str | None = Field(None, max_length=200, examples=["Apache-2.0"])
    lineage: dict[str, Any] = Field(default_factory=dict)
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
            lineage=self.lineage,
        )


class FoundOut(Out):
    """Something in a version's files that runs when it is loaded."""

    path: str
    reason: str
    message: str
    fix: str


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
        )


def visibility(name: str) -> Visibility:
    """Read a visibility."""
    return Visibility(name)
