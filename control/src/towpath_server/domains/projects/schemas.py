"""Projects and applications on the wire."""

from typing import Annotated

from pydantic import Field, StringConstraints

from towpath_server.domains.projects.models import (
    Application,
    BodyLog,
    BodyMode,
    Project,
    Redaction,
)
from towpath_server.web.schemas import In, Name, Out, Ref, Resource, Text, at


class ProjectCreate(In):
    """A new project."""

    team: Ref = Field(description="Name or id of the team.")
    name: Name


class RedactionIn(In):
    """What is taken out of logged bodies."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")] = Field(
        description="Stands in its place, as `[redacted:<name>]`."
    )
    pattern: Annotated[str, StringConstraints(min_length=1, max_length=512)] = Field(
        description="A regular expression without look-around and back-references."
    )


class BodyLogIn(In):
    """What is kept of a project's requests beyond what money needs."""

    mode: BodyMode = Field(
        BodyMode.METADATA,
        description="`none`: usage records without user, labels and the caller's own request id; "
        "`metadata`: whole usage records; `full`: the bodies of requests and answers too.",
    )
    redact: list[RedactionIn] = Field(
        default_factory=list, max_length=32, description="Applied to bodies in this order."
    )
    retention_days: int = Field(7, ge=1, le=365, description="How long bodies are kept.")

    def model(self) -> BodyLog:
        """Return what the rules work with."""
        redact = tuple(Redaction(one.name, one.pattern) for one in self.redact)
        return BodyLog(self.mode, redact, self.retention_days)


class RedactionOut(Out):
    """What is taken out of logged bodies."""

    name: str
    pattern: str


class BodyLogOut(Out):
    """What is kept of a project's requests beyond what money needs."""

    mode: BodyMode
    redact: list[RedactionOut]
    retention_days: int

    @classmethod
    def of(cls, found: BodyLog) -> "BodyLogOut":
        """Write it."""
        redact = [RedactionOut(name=one.name, pattern=one.pattern) for one in found.redact]
        return cls(mode=found.mode, redact=redact, retention_days=found.days)


class ProjectUpdate(In):
    """What may change; what is absent stays."""

    name: Name | None = None
    body_log: BodyLogIn | None = Field(None, description="Replaces the former setting whole.")


class ProjectOut(Resource):
    """A project."""

    team: str = Field(description="Id of the team.")
    name: str
    path: str = Field(description="`team/project`, as references name it.")
    body_log: BodyLogOut

    @classmethod
    def of(cls, project: Project) -> "ProjectOut":
        """Write a project."""
        return cls(
            id=project.id,
            revision=project.revision,
            created_at=at(project.created_at_ms),
            updated_at=at(project.updated_at_ms),
            team=project.team_id,
            name=project.name,
            path=project.path,
            body_log=BodyLogOut.of(project.body_log),
        )


class ApplicationCreate(In):
    """A new application."""

    project: Ref = Field(description="`team/project`, or the id.")
    name: Name
    owner: Text | None = None
    contact: Text | None = None
    use_case: Text | None = None


class ApplicationUpdate(In):
    """What may change; what is absent stays."""

    name: Name = ""
    owner: Text | None = None
    contact: Text | None = None
    use_case: Text | None = None


class ApplicationOut(Resource):
    """An application."""

    project: str = Field(description="Id of the project.")
    name: str
    owner: str | None
    contact: str | None
    use_case: str | None

    @classmethod
    def of(cls, application: Application) -> "ApplicationOut":
        """Write an application."""
        return cls(
            id=application.id,
            revision=application.revision,
            created_at=at(application.created_at_ms),
            updated_at=at(application.updated_at_ms),
            project=application.project_id,
            name=application.name,
            owner=application.owner,
            contact=application.contact,
            use_case=application.use_case,
        )
