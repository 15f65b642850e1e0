"""Routes of limits."""

from typing import Annotated

from fastapi import Depends, Query

from towpath_server.core.errors import Forbidden, NotFound, RevisionConflict
from towpath_server.domains.limits import service as limits
from towpath_server.domains.limits.errors import SetByPlatform, SubjectUnmatchable
from towpath_server.domains.limits.models import SubjectDraft
from towpath_server.domains.limits.schemas import (
    LimitCreate,
    LimitOut,
    LimitStateOut,
    LimitUpdate,
)
from towpath_server.web import edge
from towpath_server.web.deps import Caller, IfMatch, Paging, ReadTx, Signals, WriteTx
from towpath_server.web.paging import Page
from towpath_server.web.problems import problems
from towpath_server.web.schemas import Ref

router = edge.router("limit", "/limits")


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
async def create(body: LimitCreate, caller: Caller, tx: WriteTx) -> LimitOut:
    """Set a limit; it is in force on every gateway with the answer's `x-towpath-applied`."""
    return LimitOut.of(await limits.create(tx, caller, body.subject(), body.rules()))


@router.get("", responses=problems(Forbidden, NotFound))
async def list(  # noqa: A001
    caller: Caller, tx: ReadTx, window: Paging, of: Annotated[SubjectDraft, Depends(_subject)]
) -> Page[LimitOut]:
    """List the limits that you may see."""
    return Page.of(await limits.list(tx, caller, window, of=of), LimitOut.of)


@router.get("/{limit}", responses=problems(NotFound))
async def get(limit: Ref, caller: Caller, tx: ReadTx) -> LimitOut:
    """Return a limit."""
    return LimitOut.of(await limits.get(tx, caller, limit))


@router.get("/{limit}/state", responses=problems(NotFound))
async def state(limit: Ref, caller: Caller, tx: ReadTx, signals: Signals) -> LimitStateOut:
    """Say where a limit stands: in flight, left and refused, as the gateways said last."""
    found = await limits.get(tx, caller, limit)
    return LimitStateOut.of(found, signals.limit(found.id))


@router.patch("/{limit}", responses=problems(NotFound, Forbidden, SetByPlatform, RevisionConflict))
async def update(
    limit: Ref, body: LimitUpdate, caller: Caller, tx: WriteTx, if_match: IfMatch
) -> LimitOut:
    """Change what a limit allows; null takes a part away."""
    changed = await limits.update(tx, caller, limit, changes=body.changes(), if_match=if_match)
    return LimitOut.of(changed)


@router.delete(
    "/{limit}",
    status_code=204,
    responses=problems(NotFound, Forbidden, SetByPlatform, RevisionConflict),
)
async def delete(limit: Ref, caller: Caller, tx: WriteTx, if_match: IfMatch) -> None:
    """Delete a limit."""
    await limits.delete(tx, caller, limit, if_match=if_match)
