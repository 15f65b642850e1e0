"""Routes of budgets."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Query

from towpath_server.core.db import Tx
from towpath_server.core.errors import Forbidden, NotFound, RevisionConflict
from towpath_server.domains.budgets import service as budgets
from towpath_server.domains.budgets.errors import BudgetUnitFixed
from towpath_server.domains.budgets.schemas import (
    BudgetCreate,
    BudgetOut,
    BudgetStateOut,
    BudgetUpdate,
)
from towpath_server.domains.budgets.service import books
from towpath_server.domains.limits.errors import SetByPlatform, SubjectUnmatchable
from towpath_server.domains.limits.models import SubjectDraft
from towpath_server.web import edge
from towpath_server.web.deps import Caller, IfMatch, Paging, Platform, ReadTx, Signals, WriteTx
from towpath_server.web.paging import Page
from towpath_server.web.problems import problems
from towpath_server.web.schemas import Ref

router = edge.router("budget", "/budgets")


async def _ledger(platform: Platform) -> AsyncIterator[Tx]:
    async with platform.db.ledger_read() as ledger:
        yield ledger


def _subject(
    key: Annotated[Ref | None, Query(description="Id of a key.")] = None,
    project: Annotated[Ref | None, Query(description="`team/project` or its id.")] = None,
    team: Annotated[Ref | None, Query(description="Name or id of a team.")] = None,
    endpoint: Annotated[Ref | None, Query(description="Name or id of an endpoint.")] = None,
    environment: Annotated[Ref | None, Query(description="Of the endpoint.")] = None,
) -> SubjectDraft:
    return SubjectDraft(key, project, team, endpoint, environment)


@router.post(
    "",
    status_code=201,
    responses=problems(Forbidden, NotFound, SubjectUnmatchable),
)
async def create(body: BudgetCreate, caller: Caller, tx: WriteTx) -> BudgetOut:
    """Set a budget; what its subject used in the current period already counts."""
    return BudgetOut.of(await budgets.create(tx, caller, body.subject(), body.draft()))


@router.get("", responses=problems(Forbidden, NotFound))
async def list(  # noqa: A001
    caller: Caller, tx: ReadTx, window: Paging, of: Annotated[SubjectDraft, Depends(_subject)]
) -> Page[BudgetOut]:
    """List the budgets that you may see."""
    return Page.of(await budgets.list(tx, caller, window, of=of), BudgetOut.of)


@router.get("/{budget}", responses=problems(NotFound))
async def get(budget: Ref, caller: Caller, tx: ReadTx) -> BudgetOut:
    """Return a budget."""
    return BudgetOut.of(await budgets.get(tx, caller, budget))


@router.get("/{budget}/state", responses=problems(NotFound))
async def state(
    budget: Ref,
    caller: Caller,
    tx: ReadTx,
    ledger: Annotated[Tx, Depends(_ledger)],
    signals: Signals,
) -> BudgetStateOut:
    """Say where a budget stands: used, held, left, and when it begins anew."""
    found = await budgets.get(tx, caller, budget)
    return BudgetStateOut.of(await books.state(ledger, found), signals.budget(found.id))


@router.patch(
    "/{budget}",
    responses=problems(NotFound, Forbidden, SetByPlatform, BudgetUnitFixed, RevisionConflict),
)
async def update(
    budget: Ref, body: BudgetUpdate, caller: Caller, tx: WriteTx, if_match: IfMatch
) -> BudgetOut:
    """Change a budget's amount, mode or warning; what was used stays."""
    changed = await budgets.update(
        tx, caller, budget, unit=body.unit(), changes=body.changes(), if_match=if_match
    )
    return BudgetOut.of(changed)


@router.delete(
    "/{budget}",
    status_code=204,
    responses=problems(NotFound, Forbidden, SetByPlatform, RevisionConflict),
)
async def delete(budget: Ref, caller: Caller, tx: WriteTx, if_match: IfMatch) -> None:
    """Delete a budget; the records that counted towards it stay."""
    await budgets.delete(tx, caller, budget, if_match=if_match)
