"""What users, their tokens and their memberships are."""

from dataclasses import dataclass

from towpath_server.core.access import Role


@dataclass(frozen=True)
class User:
    """A person."""

    id: str
    revision: int
    created_at_ms: int
    updated_at_ms: int
    name: str
    email: str | None
    platform_role: Role | None


@dataclass(frozen=True)
class UserToken:
    """What a person's programs call with; the token itself is known by its hash alone."""

    id: str
    revision: int
    created_at_ms: int
    updated_at_ms: int
    user_id: str
    name: str
    hash: str
    hint: str
    expires_at_ms: int | None


@dataclass(frozen=True)
class Member:
    """A user's role in a team."""

    id: str
    revision: int
    created_at_ms: int
    updated_at_ms: int
    team_id: str
    user_id: str
    role: Role
