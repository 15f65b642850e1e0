"""What a credential of a program is: an API key or a service account."""

import enum
from dataclasses import dataclass


class Environment(enum.StrEnum):
    """Environments a project works in; a credential belongs to exactly one."""

    SANDBOX = "sandbox"
    STAGING = "staging"
    PRODUCTION = "production"


class Kind(enum.StrEnum):
    """Which of the two a credential is."""

    KEY = "key"
    SERVICE_ACCOUNT = "service_account"


class Priority(enum.StrEnum):
    """How calls stand where they wait for a target; a request may lower its own, never raise it."""

    INTERACTIVE = "interactive"
    """Somebody looks at the screen."""
    DEFAULT = "default"
    BATCH = "batch"
    """Work that nobody waits for."""


@dataclass(frozen=True)
class Restrictions:
    """What narrows a key; none in a field: nothing does. And how its calls stand in queues."""

    endpoints: tuple[str, ...] | None = None
    operations: tuple[str, ...] | None = None
    sources: tuple[str, ...] | None = None
    max_data_class: str | None = None
    priority: Priority | None = None


@dataclass(frozen=True)
class Key:
    """An API key or a service account, known by the hash of its token alone."""

    id: str
    revision: int
    created_at_ms: int
    updated_at_ms: int
    kind: Kind
    team_id: str
    project_id: str
    environment: Environment
    name: str
    hash: str
    hint: str
    scopes: tuple[str, ...]
    application_id: str | None = None
    endpoints: tuple[str, ...] | None = None
    operations: tuple[str, ...] | None = None
    sources: tuple[str, ...] | None = None
    max_data_class: str | None = None
    priority: Priority | None = None
    expires_at_ms: int | None = None
    last_used_at_ms: int | None = None
    revoked_at_ms: int | None = None
    rotated_from: str | None = None
    """Id of the key that this one replaces."""


@dataclass(frozen=True)
class StandIn:
    """A short-lived credential of the platform's own, whose calls are another key's."""

    id: str
    key_id: str
    """The key that its calls are of."""
    project_id: str
    environment: Environment
    hash: str
    expires_at_ms: int
    sources: tuple[str, ...] | None = None
