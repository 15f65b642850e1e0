"""Teams on the wire."""

from typing import Annotated

from pydantic import Field

from towpath_server.domains.teams.models import Team
from towpath_server.web.schemas import In, Name, Resource, at

Weight = Annotated[
    int,
    Field(
        strict=True,
        ge=1,
        le=1_000,
        description="Its share where teams wait for the same target, relative to other teams'. "
        "Only the platform may set it.",
    ),
]


class TeamCreate(In):
    """A new team."""

    name: Name
    weight: Weight = 1


class TeamUpdate(In):
    """What may change; what is absent stays."""

    name: Name | None = None
    weight: Weight | None = None


class TeamOut(Resource):
    """A team."""

    name: str
    weight: int

    @classmethod
    def of(cls, team: Team) -> "TeamOut":
        """Write a team."""
        return cls(
            id=team.id,
            revision=team.revision,
            created_at=at(team.created_at_ms),
            updated_at=at(team.updated_at_ms),
            name=team.name,
            weight=team.weight,
        )
