"""Route of what served when."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Query
from pydantic import AwareDatetime

from towpath_server.core.clock import to_ms
from towpath_server.core.errors import NotFound
from towpath_server.domains.deployments import service as deployments
from towpath_server.domains.deployments.routes.manifests import InEnvironment
from towpath_server.domains.deployments.schemas import ServedOut
from towpath_server.web import edge
from towpath_server.web.deps import Caller, Paging, ReadTx
from towpath_server.web.paging import Page
from towpath_server.web.problems import problems
from towpath_server.web.schemas import Ref

router = edge.router("model", "/models")


@dataclass(frozen=True)
class When:
    """Where and when."""

    environment: str | None
    at_ms: int | None


def _when(
    environment: InEnvironment = None,
    at: Annotated[
        AwareDatetime | None, Query(description="Only what took traffic at that time.")
    ] = None,
) -> When:
    return When(environment, to_ms(at) if at else None)


@router.get("/{model}/served", responses=problems(NotFound))
async def list_served(
    model: Ref,
    caller: Caller,
    tx: ReadTx,
    window: Paging,
    when: Annotated[When, Depends(_when)],
) -> Page[ServedOut]:
    """List which versions took traffic from when to when, by whom and with whose approval."""
    found = await deployments.served(
        tx, caller, model, window, environment=when.environment, at_ms=when.at_ms
    )
    return Page.of(found, ServedOut.of)
