"""What projects and applications are."""

import enum
from dataclasses import dataclass, field


class BodyMode(enum.StrEnum):
    """How much of a project's requests is kept."""

    NONE = "none"
    METADATA = "metadata"
    FULL = "full"


@dataclass(frozen=True)
class Redaction:
    """What is taken out of bodies, and the name that stands in its place."""

    name: str
    pattern: str


@dataclass(frozen=True)
class BodyLog:
    """What is kept of a project's requests beyond what money needs, and for how long."""

    mode: BodyMode = BodyMode.METADATA
    redact: tuple[Redaction, ...] = ()
    days: int = 7


@dataclass(frozen=True)
class Project:
    """A team's project."""

    id: str
    revision: int
    created_at_ms: int
    updated_at_ms: int
    team_id: str
    name: str
    team_name: str = ""
    """The name of its team as it is now."""
    body_log: BodyLog = field(default_factory=BodyLog)

    @property
    def path(self) -> str:
        """The reference that people write: `team/project`."""
        return f"{self.team_name}/{self.name}"


@dataclass(frozen=True)
class Application:
    """A program of a project that calls models, and who answers for it."""

    id: str
    revision: int
    created_at_ms: int
    updated_at_ms: int
    team_id: str
    project_id: str
    name: str
    owner: str | None
    contact: str | None
    use_case: str | None
