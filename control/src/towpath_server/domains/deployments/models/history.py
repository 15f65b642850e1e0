"""How revisions came about, what took traffic when, and what became of every deployment."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


class How(enum.StrEnum):
    """By which way a revision came about."""

    MANIFEST = "manifest"
    PROMOTION = "promotion"
    ROLLBACK = "rollback"


@dataclass(frozen=True)
class Source:
    """What a promotion carried on, or a rollback came back to."""

    deployment_id: str
    environment: str
    revision: int


@dataclass(frozen=True)
class Origin:
    """How a revision came about, in whose name, and who agreed."""

    by_id: str
    by: str
    how: How = How.MANIFEST
    source: Source | None = None
    approval: str | None = None
    approved_by: tuple[str, ...] = ()
    reason: str | None = None
    """Why it went on without anybody else's approval."""
    note: str | None = None
    """What it is, in a sentence, where it is not a manifest that somebody wrote."""

    @classmethod
    def read(cls, stored: Mapping[str, Any] | None) -> "Origin | None":
        """Read it as it is stored."""
        if stored is None:
            return None
        fields = dict(stored)
        fields["how"] = How(fields["how"])
        fields["approved_by"] = tuple(fields["approved_by"])
        fields["source"] = Source(**fields["source"]) if fields["source"] else None
        return cls(**fields)


@dataclass(frozen=True)
class Promotion:
    """What is to be carried on, and to where."""

    ref: str
    """Name or id of the deployment to start from."""
    to: str
    environment: str | None = None
    """Where it is served now; none: the nearest before `to`."""
    overrides: Mapping[str, Any] | None = None
    """What differs there, laid over what the manifest says for it."""
    reason: str | None = None
    """Why nobody else is asked, where that is needed."""


@dataclass(frozen=True)
class Exposure:
    """A stretch of time in which a revision took the traffic; kept when the deployment is gone."""

    id: str
    deployment_id: str
    name: str
    environment: str
    team_id: str
    project_id: str
    number: int
    """Of the revision."""
    model: str
    version: int
    digest: str
    runtime: str
    from_ms: int
    until_ms: int | None
    origin: Origin | None
    project_path: str = ""


class Hand(enum.StrEnum):
    """What the platform team had to do before a deployment was ready for the first time."""

    DEPLOYED = "deployed_by_platform"
    APPROVED = "approved_by_platform"


@dataclass(frozen=True)
class Record:
    """What became of a deployment; kept when it is gone."""

    deployment_id: str
    name: str
    environment: str
    team_id: str
    project_id: str
    created_at_ms: int
    hand: Hand | None = None
    first_ready_at_ms: int | None = None
    trouble: str | None = None
    """Condition and reason of what went wrong last, before it was ready: `Loaded: CrashLoop`."""
    ended_at_ms: int | None = None

    @property
    def self_service(self) -> bool:
        """Whether it reached Ready without the platform team's hands."""
        return self.first_ready_at_ms is not None and self.hand is None

    @property
    def reason(self) -> str:
        """Say in a word or two why it did not."""
        if self.first_ready_at_ms is not None:
            return str(self.hand)
        if self.trouble is not None:
            return self.trouble
        return "gone_before_ready" if self.ended_at_ms is not None else "not_ready_yet"


@dataclass(frozen=True)
class SelfService:
    """How many deployments reached Ready without the platform team, and what kept the others."""

    since_ms: int
    until_ms: int
    all: int
    reached: int
    reasons: Mapping[str, int]

    @property
    def rate(self) -> float | None:
        """Their part of all; none: there was nothing to count."""
        return self.reached / self.all if self.all else None
