"""Limits, and what limits and budgets count: the subject."""

import enum
from dataclasses import dataclass, field

from towpath_server.core.access import Principal, Role

RATES = ("requests_per_second", "requests_per_minute", "tokens_per_minute")
"""The rates of a limit, by field."""

PARTS = ("key", "project", "team", "endpoint")
"""The parts of a subject, by field; from the narrowest caller to what is called."""


class Setter(enum.StrEnum):
    """Who set a rule: what the platform set, a team cannot loosen."""

    PLATFORM = "platform"
    TEAM = "team"

    @classmethod
    def of(cls, caller: Principal) -> "Setter":
        """Return as whom a caller sets rules."""
        return cls.PLATFORM if caller.platform_role is Role.PLATFORM else cls.TEAM


@dataclass(frozen=True)
class SubjectDraft:
    """What is counted, in the caller's words."""

    key: str | None = None
    project: str | None = None
    team: str | None = None
    endpoint: str | None = None
    environment: str | None = None
    """Of the endpoint, where its name alone is not enough."""

    def given(self) -> tuple[str, ...]:
        """Return the parts that are named."""
        return tuple(part for part in PARTS if getattr(self, part) is not None)


@dataclass(frozen=True)
class Subject:
    """What is counted: calls that match every part that is given, each by id."""

    key: str | None = None
    project: str | None = None
    team: str | None = None
    endpoint: str | None = None

    def given(self) -> dict[str, str]:
        """Return the parts that are given."""
        return {part: value for part in PARTS if (value := getattr(self, part)) is not None}


@dataclass(frozen=True)
class Owner:
    """Whose rule it is: the caller's side of the subject, else the endpoint's owner."""

    team_id: str | None = None
    project_id: str | None = None


@dataclass(frozen=True)
class Rate:
    """At most `burst + limit · t` in any window of length t; no burst: the gateway's default."""

    limit: int
    burst: int | None = None


@dataclass(frozen=True)
class Rules:
    """How much is allowed. Each holds by itself."""

    requests_per_second: Rate | None = None
    requests_per_minute: Rate | None = None
    tokens_per_minute: Rate | None = None
    concurrency: int | None = None

    @property
    def nothing(self) -> bool:
        """Whether nothing is limited."""
        return all(value is None for value in vars(self).values())


@dataclass(frozen=True)
class Limit:
    """How much a subject may ask for at a time."""

    id: str
    revision: int
    created_at_ms: int
    updated_at_ms: int
    subject: Subject
    owner: Owner
    set_by: Setter
    rules: Rules
    label: str = field(default="", compare=False)
    """The subject in words, as it is called now."""
