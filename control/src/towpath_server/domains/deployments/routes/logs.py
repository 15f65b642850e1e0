"""The route of logs: read at once, or followed."""

from typing import Annotated

from fastapi import Depends, Query
from fastapi.responses import StreamingResponse

from towpath_server.core.errors import InvalidRequest, NotFound
from towpath_server.domains.deployments import schemas
from towpath_server.domains.deployments.routes.manifests import InEnvironment, Machine
from towpath_server.domains.deployments.schemas import LogsOut
from towpath_server.domains.deployments.service import logs
from towpath_server.domains.deployments.service.logs import Excerpt
from towpath_server.web import edge
from towpath_server.web.deps import Caller, Platform
from towpath_server.web.problems import problems
from towpath_server.web.schemas import Ref

router = edge.router("deployment", "/deployments", streaming=True)


def _excerpt(
    environment: InEnvironment = None,
    replica: Annotated[
        str | None, Query(max_length=64, description="Id or ordinal of one replica.")
    ] = None,
    tail: Annotated[int, Query(ge=1, le=1_000, description="Lines of each replica.")] = 100,
    since: Annotated[
        str | None,
        Query(max_length=40, description="Only lines since then: `10m` ago, or a time."),
    ] = None,
    search: Annotated[
        str | None, Query(max_length=200, description="Only lines that contain this.")
    ] = None,
) -> Excerpt:
    return Excerpt(environment, replica, tail, schemas.since(since), search)


@router.get(
    "/{deployment}/logs",
    response_model=LogsOut,
    responses={
        **problems(NotFound, InvalidRequest),
        200: {"content": {schemas.LINES: {"schema": {"type": "string"}}}},
    },
)
async def read_logs(
    deployment: Ref,
    caller: Caller,
    platform: Platform,
    machine: Machine,
    excerpt: Annotated[Excerpt, Depends(_excerpt)],
    *,
    follow: Annotated[
        bool, Query(description="Go on with what comes, as one JSON object a line.")
    ] = False,
) -> LogsOut | StreamingResponse:
    """Return the last lines that the model servers wrote, or follow them."""
    async with platform.db.read() as tx:
        found = await logs.last(tx, caller, machine.servers, deployment, excerpt)
    if not follow:
        return LogsOut.of(found)
    written = logs.follow(platform.db, caller, machine.servers, deployment, excerpt)
    return StreamingResponse(schemas.lines(written), media_type=schemas.LINES)
