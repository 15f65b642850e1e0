"""What a model and its versions are."""

import enum
import json
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
    tags: Mapping[str, str] = field(default_factory=dict)
    latest_version: int | None = None
    """Number of the newest version; none before the first."""


@dataclass(frozen=True)
class Search:
    """Which models are looked for; what is not given does not narrow."""

    words: tuple[str, ...] = ()
    """All of them stand in name or description, in any case."""
    tags: tuple[tuple[str, str | None], ...] = ()
    """Key, and value where one is asked for; on the model, or on any of its versions."""
    format: str | None = None
    """Of any version."""
    licence: str | None = None
    """Of any version."""


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
    tags: Mapping[str, str] = field(default_factory=dict)
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
    tags: Mapping[str, str] = field(default_factory=dict)
    """The one thing that may change."""

    @property
    def example(self) -> Mapping[str, Any] | None:
        """Return the request that the card shows; none when it shows none."""
        try:
            found = json.loads(example_text(self.card or "") or "null")
        except ValueError:
            return None
        return found if isinstance(found, dict) else None

    @property
    def size_bytes(self) -> int:
        """Return the size of all its files."""
        return sum(file.size for file in self.files)

    @property
    def uri(self) -> str:
        """Return what a manifest names it by."""
        return f"models:/{self.model_name}/{self.number}"


def example_text(card: str) -> str | None:
    """Return the first fenced `json` block under the heading "Example" of a card."""
    under, fence = False, ""
    found: list[str] | None = None
    for line in card.splitlines():
        bare = line.strip()
        if fence:
            if bare.startswith(fence):
                if found is not None:
                    return "\n".join(found)
                fence = ""
            elif found is not None:
                found.append(line)
        elif bare.startswith(("```", "~~~")):
            fence = bare[:3]
            wanted = under and bare[3:].strip().lower() == "json"
            found = [] if wanted else None
        elif bare.startswith("#"):
            under = bare.strip("# \t").lower() in {"example", "examples"}
    return None
