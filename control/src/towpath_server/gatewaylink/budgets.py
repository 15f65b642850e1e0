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
from towpath_server.domains.budgets.models import News
from towpath_server.domains.budgets.service import books

log = logging.get(__name__)

_PAGE = 5_000
_SWEEP_S = 600.0


class BudgetRegistry:
    """Keeps the ledger's definitions in step with what is declared."""

    def __init__(self, db: Database) -> None:
        self._db = db

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

    async def run(self) -> None:
        """Settle now and then, until cancelled."""
        while True:
            try:
                await self.settle()
            except TowpathError as error:
                log.warning("budgets.settle_failed", detail=error.detail, **error.log)
            await asyncio.sleep(_SWEEP_S)


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
