"""Projects and applications on the wire."""

from pydantic import Field

from towpath_server.domains.projects.models import Application, Project
from towpath_server.web.schemas import In, Name, Ref, Resource, Text, at


class ProjectCreate(In):
    """A new project."""

    team: Ref = Field(description="Name or id of the team.")
    name: Name


class ProjectUpdate(In):
    """What may change; what is absent stays."""

    name: Name | None = None


class ProjectOut(Resource):
    """A project."""

    team: str = Field(description="Id of the team.")
    name: str
    path: str = Field(description="`team/project`, as references name it.")

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
