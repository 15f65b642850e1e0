"""Notices for a receiver outside: written with the event, taken one by one, tried for hours."""

import json
from collections.abc import Mapping
from typing import Any

from towpath_server.core import ids
from towpath_server.core.db import Tx
from towpath_server.domains.notices import store
from towpath_server.domains.notices.models import Notice

MAX_ATTEMPTS = 12
_FIRST_PAUSE_MS = 5_000
_MAX_PAUSE_MS = 3_600_000  # with 12 attempts: about five hours in all


async def tell(tx: Tx, what: str, data: Mapping[str, Any]) -> None:
    """
    Tell the receiver of an event, once the transaction is committed.

    Args:
        what: Noun and event, such as `budget.exhausted`.
        data: What happened, as JSON.
    """
    event = {"type": what, "timestamp": tx.now.isoformat(), "data": data}
    body = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
    await store.add(tx, Notice(ids.new("ntc"), tx.now_ms, body, 0, tx.now_ms))


async def take(tx: Tx) -> Notice | None:
    """Return a notice that is due, with this attempt booked; none: nothing is due."""
    notice = await store.due(tx)
    if notice is None:
        return None
    pause = min(_FIRST_PAUSE_MS << notice.attempts, _MAX_PAUSE_MS)
    return await store.book(tx, notice, next_at_ms=tx.now_ms + pause)


async def close(tx: Tx, notice: Notice) -> None:
    """Forget a notice that was delivered, or that nobody took."""
    await store.remove(tx, notice)
