"""What an upload is, and what a collection found."""

from dataclasses import dataclass

from towpath_server.adapters.objectstore.store import ArtifactStore
from towpath_server.core.db import Database


@dataclass(frozen=True)
class Depot:
    """Where bytes lie, and where it is written whose they are."""

    db: Database
    store: ArtifactStore
    lasts_s: int
    """How long an upload waits to be gone on with, and bytes to be needed."""


@dataclass(frozen=True)
class Upload:
    """A file on its way in, which may come in pieces and go on after a cut."""

    id: str
    revision: int
    created_at_ms: int
    updated_at_ms: int
    owner: str
    """Id of the principal whose upload it is."""
    digest: str
    size_bytes: int
    holders: tuple[str, ...]
    """On whose behalf: teams, or the principal."""


@dataclass(frozen=True)
class UploadState:
    """An upload, and how far it is."""

    upload: Upload
    offset: int


@dataclass(frozen=True)
class Collected:
    """What nothing needed, and so went."""

    files: int
    size_bytes: int
    uploads: int
