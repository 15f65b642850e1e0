"""Routes of approvals."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Query

from towpath_server.adapters import facilities
from towpath_server.adapters.facilities import Facilities
from towpath_server.core.errors import Forbidden, InvalidRequest, NotFound, RevisionConflict
from towpath_server.domains.approvals import service as approvals
from towpath_server.domains.approvals.errors import ApprovalClosed, DecidedAlready, OwnRequest
from towpath_server.domains.approvals.models import Filter, State
from towpath_server.domains.approvals.schemas import ApprovalCreate, ApprovalOut, DecisionIn
from towpath_server.web import edge
from towpath_server.web.deps import Caller, IfMatch, Paging, ReadTx, WriteTx
from towpath_server.web.paging import Page
from towpath_server.web.problems import problems
from towpath_server.web.schemas import Ref

router = edge.router("approval", "/approvals")
Machine = Annotated[Facilities, Depends(facilities.of)]


@dataclass(frozen=True)
class Word:
    """What is said to a request."""

    comment: str | None
    if_match: int | None
    machine: Facilities


def _word(body: DecisionIn, if_match: IfMatch, machine: Machine) -> Word:
    return Word(body.comment, if_match, machine)


Said = Annotated[Word, Depends(_word)]


@router.post("", status_code=201, responses=problems(NotFound, Forbidden, InvalidRequest))
async def create(
    body: ApprovalCreate, caller: Caller, tx: WriteTx, machine: Machine
) -> ApprovalOut:
    """
    Ask for what another must agree to; all that is wrong with it is answered at once.

    The last word that is needed does it.
    """
    made = await approvals.create(
        tx, caller, body.kind, body.payload, reason=body.reason, facilities=machine
    )
    return ApprovalOut.of(made)


@router.get("")
async def list(  # noqa: A001
    caller: Caller,
    tx: ReadTx,
    window: Paging,
    state: Annotated[State | None, Query(description="Only those that stand there.")] = None,
    kind: Annotated[Ref | None, Query(description="Only of this kind.")] = None,
) -> Page[ApprovalOut]:
    """List requests, newest first."""
    found = await approvals.list(tx, caller, Filter(state, kind), window)
    return Page.of(found, ApprovalOut.of)


@router.get("/{approval}", responses=problems(NotFound))
async def get(approval: Ref, caller: Caller, tx: ReadTx) -> ApprovalOut:
    """Return a request, with every word that was said on it."""
    return ApprovalOut.of(await approvals.get(tx, caller, approval))


@router.post(
    "/{approval}/approve",
    responses=problems(
        NotFound, Forbidden, OwnRequest, ApprovalClosed, DecidedAlready, RevisionConflict
    ),
)
async def approve(approval: Ref, caller: Caller, tx: WriteTx, said: Said) -> ApprovalOut:
    """Agree to what another asked for; the last word that is needed does it."""
    decided = await approvals.approve(
        tx,
        caller,
        approval,
        comment=said.comment,
        if_match=said.if_match,
        facilities=said.machine,
    )
    return ApprovalOut.of(decided)


@router.post(
    "/{approval}/reject", responses=problems(NotFound, Forbidden, ApprovalClosed, RevisionConflict)
)
async def reject(approval: Ref, caller: Caller, tx: WriteTx, said: Said) -> ApprovalOut:
    """Refuse what was asked for; one word is enough."""
    decided = await approvals.reject(
        tx, caller, approval, comment=said.comment, if_match=said.if_match
    )
    return ApprovalOut.of(decided)
