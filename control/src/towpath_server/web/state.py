"""What the edge needs from the rest of the program; composed in `api.py`."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from starlette.requests import Request

from towpath_server.core.access import Principal
from towpath_server.core.config import ApiSettings
from towpath_server.core.db import Database, Tx
from towpath_server.core.errors import TowpathError
from towpath_server.core.signals import Board


@dataclass(frozen=True)
class Refusal:
    """A write that was refused."""

    noun: str
    action: str
    """The noun and what was asked of it, such as `key.create`."""
    ref: str | None
    """What the path names."""
    error: TowpathError


class Authenticate(Protocol):
    """Find out whose token it is."""

    async def __call__(self, tx: Tx, token: str, *, address: str | None) -> Principal | None:
        """Return the principal, or none for a token that is not valid from this address."""
        ...


class RecordRefusal(Protocol):
    """Append a refused write to the audit log."""

    async def __call__(self, tx: Tx, caller: Principal, refusal: Refusal) -> None:
        """Append it in this transaction."""
        ...


@dataclass
class State:
    """Stands on the application as `app.state.towpath`."""

    db: Database
    settings: ApiSettings
    authenticate: Authenticate
    record_refusal: RecordRefusal
    applied: Callable[[int], Awaitable[bool]] | None = None
    """Waits, bounded, until every connected gateway has a revision in force."""
    board: Board = field(default_factory=Board)
    """What the gateways said last of limits and budgets."""


def of(request: Request) -> State:
    """Return the state of the application that a request came to."""
    return request.app.state.towpath
