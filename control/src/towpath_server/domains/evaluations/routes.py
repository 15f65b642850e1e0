"""Routes of evaluations."""

from typing import Annotated

from fastapi import Query

from towpath_server.core.errors import Forbidden, NotFound
from towpath_server.domains.evaluations import service as evaluations
from towpath_server.domains.evaluations.errors import DigestOfAnother
from towpath_server.domains.evaluations.schemas import EvaluationCreate, EvaluationOut
from towpath_server.web import edge
from towpath_server.web.deps import Caller, Paging, ReadTx, WriteTx
from towpath_server.web.paging import Page
from towpath_server.web.problems import problems
from towpath_server.web.schemas import Ref

router = edge.router("evaluation", "/evaluations")


@router.post("", status_code=201, responses=problems(NotFound, Forbidden, DigestOfAnother))
async def create(body: EvaluationCreate, caller: Caller, tx: WriteTx) -> EvaluationOut:
    """Record what a suite found out about a version; gates that wait for it look again at once."""
    return EvaluationOut.of(await evaluations.record(tx, caller, body.draft()))


@router.get("", responses=problems(Forbidden))
async def list(  # noqa: A001
    caller: Caller,
    tx: ReadTx,
    window: Paging,
    model: Annotated[Ref | None, Query(description="Only of this model.")] = None,
    suite: Annotated[Ref | None, Query(description="Only of this suite.")] = None,
) -> Page[EvaluationOut]:
    """List the results of your models, oldest first."""
    found = await evaluations.list(tx, caller, window, model=model, suite=suite)
    return Page.of(found, EvaluationOut.of)


@router.get("/{evaluation}", responses=problems(NotFound))
async def get(evaluation: Ref, caller: Caller, tx: ReadTx) -> EvaluationOut:
    """Return a result."""
    return EvaluationOut.of(await evaluations.get(tx, caller, evaluation))
