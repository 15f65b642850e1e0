"""Teams on the wire."""

from towpath_server.domains.teams.models import Team
from towpath_server.web.schemas import In, Name, Resource, at


class TeamCreate(In):
    """A new team."""

    name: Name


class TeamUpdate(In):
    """What may change; what is absent stays."""

    name: Name | None = None


class TeamOut(Resource):
    """A team."""

    name: str

    @classmethod
    def of(cls, team: Team) -> "TeamOut":
        """Write a team."""
        return cls(
            id=team.id,
            revision=team.revision,
            created_at=at(team.created_at_ms),
            updated_at=at(team.updated_at_ms),
            name=team.name,
        )
