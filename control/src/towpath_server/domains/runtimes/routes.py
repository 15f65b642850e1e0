"""Routes of the runtimes."""

from typing import Annotated

from fastapi import Depends

from towpath_server.adapters import facilities
from towpath_server.adapters.facilities import Facilities
from towpath_server.core.errors import NotFound
from towpath_server.domains.runtimes import service as runtimes
from towpath_server.domains.runtimes.schemas import RuntimeOut
from towpath_server.web import edge
from towpath_server.web.deps import Caller, Paging
from towpath_server.web.paging import Page
from towpath_server.web.problems import problems

router = edge.router("runtime", "/runtimes")
Machine = Annotated[Facilities, Depends(facilities.of)]


@router.get("")
async def list(  # noqa: A001
    caller: Caller, window: Paging, machine: Machine
) -> Page[RuntimeOut]:
    """List the runtimes that models can be deployed on."""
    known = runtimes.catalog(machine.runtimes_dir)
    return Page.of(runtimes.list(known, caller, window), RuntimeOut.of)


@router.get("/{name}", responses=problems(NotFound))
async def get(name: str, caller: Caller, machine: Machine) -> RuntimeOut:
    """Show the newest version of a runtime."""
    return RuntimeOut.of(runtimes.get(runtimes.catalog(machine.runtimes_dir), caller, name))
