"""The route of logged bodies."""

from typing import Annotated

from fastapi import Depends

from towpath_server.adapters import facilities
from towpath_server.adapters.facilities import Facilities
from towpath_server.core.errors import Forbidden, NotFound
from towpath_server.domains.bodies import service as bodies
from towpath_server.domains.bodies.schemas import BodiesOut
from towpath_server.web import edge
from towpath_server.web.deps import Caller, ReadTx
from towpath_server.web.problems import problems
from towpath_server.web.schemas import Ref

router = edge.router("body", "/requests")
Machine = Annotated[Facilities, Depends(facilities.of)]


@router.get("/{request}/bodies", responses=problems(NotFound, Forbidden))
async def get(request: Ref, caller: Caller, tx: ReadTx, machine: Machine) -> BodiesOut:
    """Return what a request sent and was answered, where its project logs bodies."""
    return BodiesOut.of(*await bodies.get(tx, machine.bodies, caller, request))
