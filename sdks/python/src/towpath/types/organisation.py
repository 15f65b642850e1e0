"""Who may call."""

from datetime import datetime
from typing import Any, ClassVar

from towpath.types.resource import Environment, Resource


class Team(Resource):
    """Owns projects; `weight` is its share where teams wait for the same target."""

    name: str
    weight: int | None


class Project(Resource):
    """Owns applications, keys, deployments and endpoints."""

    name: str
    team: str
    path: str
    body_log: dict[str, Any] | None


class Application(Resource):
    """A program of a project, with its owner and use case."""

    name: str
    project: str
    owner: str | None
    contact: str | None
    use_case: str | None


class User(Resource):
    """A person."""

    name: str
    email: str | None
    platform_role: str | None


class Token(Resource):
    """A user's token; `token` is there once, when it is made."""

    _secrets: ClassVar[frozenset[str]] = frozenset({"token"})

    user: str
    name: str
    hint: str
    token: str | None
    expires_at: datetime | None


class ServiceAccount(Resource):
    """A program that acts for a project; `token` is there once, when it is made."""

    _secrets: ClassVar[frozenset[str]] = frozenset({"token"})

    team: str
    project: str
    environment: Environment
    name: str
    hint: str
    token: str | None
    scopes: list[str]
    expires_at: datetime | None
    last_used_at: datetime | None


class Member(Resource):
    """A user's role in a team."""

    team: str
    user: str
    role: str


class Key(Resource):
    """An API key; `key` is there once, when it is made or rotated."""

    _secrets: ClassVar[frozenset[str]] = frozenset({"key"})

    team: str
    project: str
    environment: Environment
    name: str
    key: str | None
    hint: str
    application: str | None
    scopes: list[str]
    endpoints: list[str] | None
    operations: list[str] | None
    sources: list[str] | None
    max_data_class: str | None
    priority: str | None
    expires_at: datetime | None
    last_used_at: datetime | None
    rotated_from: str | None
