"""Users, tokens and members on the wire."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, StringConstraints

from towpath_server.domains.users.models import Member, User, UserToken
from towpath_server.web.schemas import In, Ref, Resource, Text, at, at_or_none

Email = Annotated[
    str, StringConstraints(pattern=r"^[^@\s\x00-\x1f]+@[^@\s\x00-\x1f]+$", max_length=254)
]
PlatformRole = Literal["platform", "auditor"]
TeamRole = Literal["viewer", "developer", "admin"]


class UserCreate(In):
    """A new user."""

    name: Text
    email: Email | None = None
    platform_role: PlatformRole | None = None


class UserUpdate(In):
    """What may change; what is absent stays."""

    name: Text = ""
    email: Email | None = None
    platform_role: PlatformRole | None = None


class UserOut(Resource):
    """A user."""

    name: str
    email: str | None
    platform_role: PlatformRole | None

    @classmethod
    def of(cls, user: User) -> "UserOut":
        """Write a user."""
        return cls.model_validate(
            {
                "id": user.id,
                "revision": user.revision,
                "created_at": at(user.created_at_ms),
                "updated_at": at(user.updated_at_ms),
                "name": user.name,
                "email": user.email,
                "platform_role": user.platform_role,
            }
        )


class TokenCreate(In):
    """A new token."""

    name: Text
    expires_at: AwareDatetime | None = None


class TokenOut(Resource):
    """A token, by which its owner tells it apart; never the token itself."""

    user: str
    name: str
    hint: str = Field(description="The first characters after the prefix.")
    expires_at: datetime | None

    @classmethod
    def of(cls, token: UserToken) -> "TokenOut":
        """Write a token."""
        return cls.model_validate(cls.fields(token))

    @staticmethod
    def fields(token: UserToken) -> dict[str, object]:
        """Return what is shown of a token."""
        return {
            "id": token.id,
            "revision": token.revision,
            "created_at": at(token.created_at_ms),
            "updated_at": at(token.updated_at_ms),
            "user": token.user_id,
            "name": token.name,
            "hint": token.hint,
            "expires_at": at_or_none(token.expires_at_ms),
        }


class TokenCreated(TokenOut):
    """A new token, shown this once."""

    token: str


class MemberCreate(In):
    """A new membership."""

    team: Ref
    user: Ref
    role: TeamRole


class MemberUpdate(In):
    """What may change; what is absent stays."""

    role: TeamRole | None = None


class MemberOut(Resource):
    """A user's role in a team."""

    team: str
    user: str
    role: TeamRole

    @classmethod
    def of(cls, member: Member) -> "MemberOut":
        """Write a membership."""
        return cls.model_validate(
            {
                "id": member.id,
                "revision": member.revision,
                "created_at": at(member.created_at_ms),
                "updated_at": at(member.updated_at_ms),
                "team": member.team_id,
                "user": member.user_id,
                "role": member.role,
            }
        )
