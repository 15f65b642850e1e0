"""Routes of adoption."""

from typing import Annotated

from fastapi import Query
from pydantic import AwareDatetime

from towpath_server.core.errors import Forbidden, NotFound
from towpath_server.domains.adoption import service as adoption
from towpath_server.domains.adoption.schemas import SelfServiceOut
from towpath_server.web import edge
from towpath_server.web.deps import Caller, ReadTx
from towpath_server.web.problems import problems
from towpath_server.web.schemas import Ref

router = edge.router("adoption", "/adoption")


@router.get("/self-service", responses=problems(NotFound, Forbidden))
async def read_self_service(
    caller: Caller,
    tx: ReadTx,
    since: Annotated[
        AwareDatetime | None, Query(description="Earliest time; default: 30 days before `until`.")
    ] = None,
    until: Annotated[AwareDatetime | None, Query(description="Latest time; default: now.")] = None,
    team: Annotated[Ref | None, Query(description="Only this team's.")] = None,
) -> SelfServiceOut:
    """Say which part of the deployments reached Ready without the platform team's hands."""
    found = await adoption.self_service(tx, caller, since=since, until=until, team=team)
    return SelfServiceOut.of(found)
