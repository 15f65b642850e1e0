"""Appending to the audit log, in the transaction of the change itself, and reading it."""

from collections.abc import Mapping
from typing import Any

from towpath_server.core import ids, log
from towpath_server.core.access import Principal
from towpath_server.core.db import Tx
from towpath_server.core.errors import TowpathError
from towpath_server.core.paging import Slice, Window
from towpath_server.domains.audit import store
from towpath_server.domains.audit.models import Event, Filter, Outcome

_MAX_REF = 500  # what a path named may be anything


async def append(
    tx: Tx,
    principal: Principal,
    *,
    action: str,
    noun: str,
    id: str,  # noqa: A002 (the word the contract uses)
    team: str | None,
    changes: Mapping[str, Any] | None = None,
) -> None:
    """
    Note a change that commits with this transaction.

    Args:
        action: The noun and what happened, in the past tense: `key.created`.
        changes: The fields that changed and their new values; never a secret.
    """
    event = _event(tx, principal, action=action, noun=noun, resource_id=id, team_id=team)
    await store.insert(tx, Event(**event, outcome=Outcome.DONE, changes=changes))


async def append_refused(
    tx: Tx, principal: Principal, *, action: str, noun: str, ref: str | None, error: TowpathError
) -> None:
    """Note an attempt that was refused; `action` is what was asked for: `key.create`."""
    event = _event(
        tx,
        principal,
        action=action,
        noun=noun,
        resource_id=ref[:_MAX_REF] if ref else None,
        team_id=principal.team,
    )
    event |= {"code": error.code, "detail": error.detail}
    await store.insert(tx, Event(**event, outcome=Outcome.REFUSED, changes=None))


async def list(tx: Tx, caller: Principal, wanted: Filter, window: Window) -> Slice[Event]:  # noqa: A001
    """
    List events, newest first.

    Raises:
        Forbidden: The caller administers no team and oversees nothing.
    """
    rows = await store.page(tx, caller.reach("audit"), wanted, window)
    return Slice.cut(rows, window)


def _event(
    tx: Tx,
    principal: Principal,
    *,
    action: str,
    noun: str,
    resource_id: str | None,
    team_id: str | None,
) -> dict[str, Any]:
    return {
        "id": ids.new("evt"),
        "at_ms": tx.now_ms,
        "principal_kind": principal.kind.value,
        "principal_id": principal.id,
        "principal_name": principal.name,
        "action": action,
        "noun": noun,
        "resource_id": resource_id,
        "team_id": team_id,
        "code": None,
        "detail": None,
        "request_id": log.request_id(),
    }
