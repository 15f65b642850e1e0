"""Requests that others must agree to, and what was decided."""

import enum
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from towpath_server.adapters.facilities import Facilities
from towpath_server.core.access import Principal
from towpath_server.core.db import Tx


class State(enum.StrEnum):
    """Where a request stands."""

    PENDING = "pending"
    APPROVED = "approved"
    """Enough others agreed, and what was asked for was done in the same transaction."""
    REJECTED = "rejected"
    VOID = "void"
    """What it was about has changed since."""
    EXPIRED = "expired"


class Answer(enum.StrEnum):
    """What one person decided."""

    APPROVE = "approve"
    REJECT = "reject"


@dataclass(frozen=True)
class Decision:
    """One person's word."""

    by_id: str
    by: str
    answer: Answer
    at_ms: int
    comment: str | None = None
    platform: bool = False
    """Whether it was given for the platform, and not for the team."""


@dataclass(frozen=True)
class Wish:
    """What a request comes to, once its kind has read and checked it."""

    team_id: str
    summary: str
    """What would be done, in a sentence."""
    payload: Mapping[str, Any]
    needed: int = 1
    """How many others must agree."""
    project_id: str | None = None
    environment: str | None = None
    name: str | None = None
    """Of the deployment that would change there, where it is about one."""
    subject_id: str | None = None
    """Id of what it starts from; a change of that makes it void."""
    digest: str | None = None


@dataclass(frozen=True)
class Approval:
    """A request, and what became of it."""

    id: str
    revision: int
    created_at_ms: int
    updated_at_ms: int
    kind: str
    state: State
    team_id: str
    project_id: str | None
    environment: str | None
    name: str | None
    subject_id: str | None
    digest: str | None
    summary: str
    payload: Mapping[str, Any]
    reason: str | None
    requested_by: str
    requested_by_name: str
    needed: int
    expires_at_ms: int
    decisions: tuple[Decision, ...] = ()
    note: str | None = None
    """Why it is void."""
    result: Mapping[str, Any] | None = None
    """What came of it."""
    team: str = ""

    @property
    def agreed(self) -> tuple[Decision, ...]:
        """Return the decisions that agree."""
        return tuple(one for one in self.decisions if one.answer is Answer.APPROVE)

    def at(self, now_ms: int) -> "Approval":
        """Return it as it stands at a time: what waited too long has expired."""
        late = self.state is State.PENDING and self.expires_at_ms <= now_ms
        return replace(self, state=State.EXPIRED) if late else self


@dataclass(frozen=True)
class Filter:
    """Which requests to list."""

    state: State | None = None
    kind: str | None = None


Reader = Callable[[Tx, Principal, Mapping[str, Any], Facilities], Awaitable[Wish]]
Doer = Callable[[Tx, Principal, Approval, Facilities], Awaitable[Mapping[str, Any]]]


@dataclass(frozen=True)
class Kind:
    """One kind of request; the domain that can do it registers it."""

    name: str
    read: Reader
    """Check a payload for the one who asks; raises what is wrong with it."""
    do: Doer
    """Do what was asked, in the name of the last who agreed; raises where it cannot be done."""
    by_platform: bool = False
    """Whether only those who run the platform may agree."""
    reasoned: bool = False
    """Whether whoever asks must say why."""
