"""What an import is, and how far it is."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from towpath_server.core.access import Principal, PrincipalKind


class Phase(enum.StrEnum):
    """Where an import is."""

    QUEUED = "queued"
    FETCHING = "fetching"
    REGISTERING = "registering"
    DONE = "done"
    FAILED = "failed"


ENDED = frozenset({Phase.DONE, Phase.FAILED})


@dataclass(frozen=True)
class Trouble:
    """Why an import failed, or waits before it is tried again."""

    reason: str
    """In one word."""
    message: str
    fix: str


@dataclass(frozen=True)
class Progress:
    """How much has come, of how much."""

    bytes_done: int = 0
    bytes_total: int | None = None
    """None before the source was listed, and where it does not say the size of a file."""
    files_done: int = 0
    files_total: int | None = None


@dataclass(frozen=True)
class Order:
    """What is to be imported, under which name."""

    model: str
    uri: str
    """In its one spelling, as `core.sources` writes it."""
    project: str | None = None
    """Where the model is created when there is none of this name."""
    format: str | None = None
    licence: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Import:
    """A model on its way into the registry, and after that what became of it."""

    id: str
    revision: int
    created_at_ms: int
    updated_at_ms: int
    model: str
    """The model's name; one that is new is created with its version."""
    team_id: str
    project_id: str
    uri: str
    format: str | None
    """As it was asked for; none: told by the files."""
    licence: str | None
    card: str | None
    tags: Mapping[str, str]
    phase: Phase
    by_kind: str
    by_id: str
    by_name: str
    pinned: str | None = None
    """A URI of exactly the content that comes, once the source was listed."""
    fingerprint: str | None = None
    """Differs once the source has another content."""
    progress: Progress = field(default_factory=Progress)
    version: int | None = None
    trouble: Trouble | None = None
    attempts: int = 0
    """Failed ones since anything came."""
    retry_at_ms: int | None = None
    ended_at_ms: int | None = None
    cancelled: bool = False
    """Whether it is to be cleared away; nobody sees it any more."""
    project: str = ""
    """`team/project`, as it is called now."""

    @property
    def creator(self) -> Principal:
        """Who acts in what it does: the rights were checked when it began."""
        return Principal(PrincipalKind(self.by_kind), self.by_id, self.by_name)


@dataclass(frozen=True)
class ImportFile:
    """A file of an import, of which at least a part is in the store."""

    path: str
    digest: str
    size: int
    upload: str | None = None
    """Under which the store keeps what came, where it goes on after a cut."""
    stored: bool = True
