"""What an audit event is."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class Outcome(enum.StrEnum):
    """How an attempt ended."""

    DONE = "done"
    REFUSED = "refused"


@dataclass(frozen=True)
class Event:
    """One attempt to change something."""

    id: str
    at_ms: int
    principal_kind: str
    principal_id: str
    principal_name: str
    action: str
    noun: str
    resource_id: str | None
    team_id: str | None
    outcome: Outcome
    code: str | None
    detail: str | None
    request_id: str | None
    changes: Mapping[str, Any] | None


@dataclass(frozen=True)
class Filter:
    """Which events to list."""

    noun: str | None = None
    resource_id: str | None = None
    principal_id: str | None = None
    team_id: str | None = None
    since_ms: int | None = None
