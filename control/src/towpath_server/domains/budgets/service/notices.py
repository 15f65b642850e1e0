"""Notices for receivers outside: written with the event, taken one by one, tried for hours."""

from towpath_server.core.db import Tx
from towpath_server.domains.budgets.models import Notice
from towpath_server.domains.budgets.store import declared as store

MAX_ATTEMPTS = 12
_FIRST_PAUSE_MS = 5_000
_MAX_PAUSE_MS = 3_600_000  # with 12 attempts: about five hours in all


async def take(tx: Tx) -> Notice | None:
    """Return a notice that is due, with this attempt booked; none: nothing is due."""
    notice = await store.due_notice(tx)
    if notice is None:
        return None
    pause = min(_FIRST_PAUSE_MS << notice.attempts, _MAX_PAUSE_MS)
    return await store.book_attempt(tx, notice, next_at_ms=tx.now_ms + pause)


async def close(tx: Tx, notice: Notice) -> None:
    """Forget a notice that was delivered, or that nobody took."""
    await store.remove_notice(tx, notice)
