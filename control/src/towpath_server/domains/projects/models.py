"""What projects and applications are."""

from dataclasses import dataclass


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
