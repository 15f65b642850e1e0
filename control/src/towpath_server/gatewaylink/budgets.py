"""
Budgets over the link: registered before they are declared, told when their use changes.

The ledger may be another database than the main one, so the two cannot commit together. A budget is
registered in the ledger just before its declaration commits: what is declared is always counted,
and what was registered for nothing is swept up later.
"""

import asyncio
from typing import Any

from towpath_server.core import log as logging
from towpath_server.core.db import Database, Tx
from towpath_server.core.errors import TowpathError
from towpath_server.domains.budgets import service as budgets
from towpath_server.domains.budgets.models import Level, News
from towpath_server.domains.budgets.service import books

log = logging.get(__name__)

_PAGE = 5_000
_SWEEP_S = 600.0
_TELL_S = 1.0
_LOOK_S = 10.0  # where the database's files tell that nobody has committed


class BudgetRegistry:
    """Keeps the ledger's definitions in step with what is declared."""

    def __init__(self, db: Database, *, notify: bool = False) -> None:
        self._db = db
        self._notify = notify

    async def before_commit(self, tx: Tx) -> None:
        """
        Let records count towards what this transaction declares.

        Raises:
            DatabaseUnavailable: The ledger is away, so that the budget could not hold.
        """
        changed = [id_ for noun, id_ in tx.changes if noun == "budget"]
        declared = await budgets.routed(tx, ids=changed, limit=len(changed)) if changed else []
        if declared:
            replaced = await budgets.predecessors(tx, declared)
            async with self._db.ledger_write() as ledger:
                await books.register(ledger, declared, predecessors=replaced)

    async def settle(self) -> None:
        """Register what is declared and is not in the ledger; forget what is no longer declared."""
        # In this order: what is an orphan now was not declared when it was looked for.
        async with self._db.ledger_read() as ledger:
            old, known = await books.orphans(ledger), await books.known(ledger)
        declared = set()
        async with self._db.read() as tx:
            after, missing, replaced = "", [], {}
            while page := await budgets.routed(tx, after=after, limit=_PAGE):
                declared |= {budget.id for budget in page}
                missing += [budget for budget in page if budget.id not in known]
                after = page[-1].id
            if missing:
                replaced = await budgets.predecessors(tx, missing)
        if missing or old - declared:
            async with self._db.ledger_write() as ledger:
                if missing:
                    await books.register(ledger, missing, predecessors=replaced)
                await books.unregister(ledger, old - declared)

    async def tell(self) -> None:
        """
        Note in the audit log which budgets reached their warning or their end.

        First there, then in the ledger that somebody was told: a crash between the two says it
        again, and the log takes it once.
        """
        async with self._db.ledger_read() as ledger:
            found = await books.untold(ledger, _PAGE)
        if not found:
            return
        async with self._db.write() as tx:
            for use, level, told in found:
                for one in Level:
                    if told < one <= level:
                        await budgets.note_level(tx, use, one, notify=self._notify)
        async with self._db.ledger_write() as ledger:
            for use, level, _ in found:
                await books.tell(ledger, use, level)

    async def run(self) -> None:
        """Settle now and then and tell at once, until cancelled."""
        settle_at = look_at = 0.0
        seen = None
        while True:
            stamp, now = self._db.stamp(), asyncio.get_running_loop().time()
            if stamp is not None and stamp == seen and now < look_at:
                await asyncio.sleep(_TELL_S)
                continue
            seen, look_at = stamp, now + _LOOK_S
            try:
                if asyncio.get_running_loop().time() >= settle_at:
                    await self.settle()
                    settle_at = asyncio.get_running_loop().time() + _SWEEP_S
                await self.tell()
            except TowpathError as error:
                log.warning("budgets.not_told", detail=error.detail, **error.log)
            await asyncio.sleep(_TELL_S)


def written(news: News) -> list[dict[str, Any]]:
    """Write uses as the gateways read them (`BudgetState`)."""
    return [
        {
            "budget": use.budget_id,
            "period_start_ms": use.period_start_ms,
            "used": use.used,
            "as_of": dict(news.as_of),
        }
        for use in news.uses
    ]
