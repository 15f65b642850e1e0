"""What a model and its versions are."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from towpath_server.adapters.objectstore.store import StoredFile


class Visibility(enum.StrEnum):
    """Who may see and use something, beyond its own project."""

    PROJECT = "project"
    TEAM = "team"
    ORGANIZATION = "organization"


@dataclass(frozen=True)
class Model:
    """A name in the registry."""

    id: str
    revision: int
    created_at_ms: int
    updated_at_ms: int
    name: str
    team_id: str
    project_id: str
    visibility: Visibility
    description: str | None = None


@dataclass(frozen=True)
class VersionDraft:
    """A version as it is registered."""

    format: str
    files: tuple[StoredFile, ...] = ()
    signature: Mapping[str, Any] | None = None
    """`{"inputs": [{"name", "datatype", "shape"}], "outputs": […]}`, as KServe writes it."""
    card: str | None = None
    licence: str | None = None
    lineage: Mapping[str, Any] = field(default_factory=dict)
    scanned: "Scanned | None" = None


@dataclass(frozen=True)
class Found:
    """Something in a version's files that runs when it is loaded."""

    path: str
    reason: str
    message: str
    fix: str


@dataclass(frozen=True)
class Scanned:
    """What the scan of a version's files has shown."""

    metadata: Mapping[str, Any] = field(default_factory=dict)
    """Facts as they stand in the files: `weights_bytes`, `context_length`, …."""
    carries_code: bool = False
    """Whether loading it runs code that came with it."""
    findings: tuple[Found, ...] = ()


@dataclass(frozen=True)
class ModelVersion:
    """One immutable content of a model."""

    id: str
    revision: int
    created_at_ms: int
    updated_at_ms: int
    model_id: str
    model_name: str
    number: int
    digest: str
    format: str
    files: tuple[StoredFile, ...]
    signature: Mapping[str, Any] | None
    card: str | None
    licence: str | None
    lineage: Mapping[str, Any]
    created_by: str
    scanned: Scanned = field(default_factory=Scanned)

    @property
    def size_bytes(self) -> int:
        """Return the size of all its files."""
        return sum(file.size for file in self.files)

    @property
    def uri(self) -> str:
        """Return what a manifest names it by."""
        return f"models:/{self.model_name}/{self.number}"
