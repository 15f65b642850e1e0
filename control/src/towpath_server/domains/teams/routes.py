"""Routes of teams."""

from towpath_server.core.errors import Forbidden, InUse, NameTaken, NotFound, RevisionConflict
from towpath_server.domains.teams import service as teams
from towpath_server.domains.teams.schemas import TeamCreate, TeamOut, TeamUpdate
from towpath_server.web import edge
from towpath_server.web.deps import Caller, IfMatch, Paging, ReadTx, WriteTx
from towpath_server.web.paging import Page
from towpath_server.web.problems import problems
from towpath_server.web.schemas import Ref

router = edge.router("team", "/teams")


@router.post("", status_code=201, responses=problems(Forbidden, NameTaken))
async def create(body: TeamCreate, caller: Caller, tx: WriteTx) -> TeamOut:
    """Create a team."""
    return TeamOut.of(await teams.create(tx, caller, name=body.name, weight=body.weight))


@router.get("", responses=problems(Forbidden))
async def list(caller: Caller, tx: ReadTx, window: Paging) -> Page[TeamOut]:  # noqa: A001
    """List the teams that you may see."""
    return Page.of(await teams.list(tx, caller, window), TeamOut.of)


@router.get("/{team}", responses=problems(NotFound))
async def get(team: Ref, caller: Caller, tx: ReadTx) -> TeamOut:
    """Return a team, by id or name."""
    return TeamOut.of(await teams.get(tx, caller, team))


@router.patch("/{team}", responses=problems(NotFound, Forbidden, NameTaken, RevisionConflict))
async def update(
    team: Ref, body: TeamUpdate, caller: Caller, tx: WriteTx, if_match: IfMatch
) -> TeamOut:
    """Rename a team, or change its weight."""
    changed = await teams.update(
        tx, caller, team, name=body.name, weight=body.weight, if_match=if_match
    )
    return TeamOut.of(changed)


@router.delete(
    "/{team}", status_code=204, responses=problems(NotFound, Forbidden, InUse, RevisionConflict)
)
async def delete(team: Ref, caller: Caller, tx: WriteTx, if_match: IfMatch) -> None:
    """Delete a team that has no projects."""
    await teams.delete(tx, caller, team, if_match=if_match)
