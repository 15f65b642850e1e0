"""Routes of endpoints."""

from typing import Annotated

from fastapi import Query

from towpath_server.core.errors import (
    Forbidden,
    InUse,
    InvalidRequest,
    NameTaken,
    NotFound,
    RevisionConflict,
)
from towpath_server.domains.endpoints import service as endpoints
from towpath_server.domains.endpoints.errors import EndpointDeclared
from towpath_server.domains.endpoints.schemas import (
    EndpointCreate,
    EndpointHealthOut,
    EndpointOut,
    EndpointUpdate,
    Environment,
)
from towpath_server.domains.providers.errors import DialectUnsupported
from towpath_server.web import edge
from towpath_server.web.deps import Caller, IfMatch, Paging, ReadTx, Signals, WriteTx
from towpath_server.web.paging import Page
from towpath_server.web.problems import problems
from towpath_server.web.schemas import Ref

router = edge.router("endpoint", "/endpoints")
InEnvironment = Annotated[Environment | None, Query(description="Only this environment.")]


@router.post(
    "",
    status_code=201,
    responses=problems(NotFound, Forbidden, NameTaken, DialectUnsupported, InvalidRequest),
)
async def create(body: EndpointCreate, caller: Caller, tx: WriteTx) -> EndpointOut:
    """Create an endpoint; a target is a deployment, a provider's model or a server by URL."""
    return EndpointOut.of(await endpoints.create(tx, caller, body.draft()))


@router.get("", responses=problems(NotFound))
async def list(  # noqa: A001
    caller: Caller,
    tx: ReadTx,
    window: Paging,
    *,
    signals: Signals,
    environment: InEnvironment = None,
    project: Annotated[Ref | None, Query(description="Only this project's.")] = None,
) -> Page[EndpointOut]:
    """List the endpoints that you may use, each with whether it answers now."""
    found = await endpoints.list(tx, caller, window, environment=environment, project=project)
    return Page.of(found, lambda one: EndpointOut.of(one, endpoints.ejected(one, signals)))


@router.get("/{endpoint}", responses=problems(NotFound, InvalidRequest))
async def get(
    endpoint: Ref,
    caller: Caller,
    tx: ReadTx,
    signals: Signals,
    environment: InEnvironment = None,
) -> EndpointOut:
    """Return an endpoint, by id or name."""
    found = await endpoints.get(tx, caller, endpoint, environment=environment)
    return EndpointOut.of(found, endpoints.ejected(found, signals))


@router.get("/{endpoint}/health", responses=problems(NotFound, InvalidRequest))
async def health(
    endpoint: Ref,
    caller: Caller,
    tx: ReadTx,
    signals: Signals,
    environment: InEnvironment = None,
) -> EndpointHealthOut:
    """Say how an endpoint's targets are: who is ejected until when, as the gateways said last."""
    found = await endpoints.health(tx, caller, endpoint, signals, environment=environment)
    return EndpointHealthOut.of(found, now_ms=tx.now_ms)


@router.patch(
    "/{endpoint}",
    responses=problems(
        NotFound, Forbidden, RevisionConflict, EndpointDeclared, DialectUnsupported, InvalidRequest
    ),
)
async def update(
    endpoint: Ref,
    body: EndpointUpdate,
    caller: Caller,
    tx: WriteTx,
    *,
    if_match: IfMatch,
    environment: InEnvironment = None,
) -> EndpointOut:
    """Change targets, access or how it serves; unchanged static targets keep their secret."""
    changed = await endpoints.update(
        tx, caller, endpoint, body.draft(), environment=environment, if_match=if_match
    )
    return EndpointOut.of(changed)


@router.delete(
    "/{endpoint}",
    status_code=204,
    responses=problems(NotFound, Forbidden, RevisionConflict, EndpointDeclared, InUse),
)
async def delete(
    endpoint: Ref,
    caller: Caller,
    tx: WriteTx,
    *,
    if_match: IfMatch,
    environment: InEnvironment = None,
) -> None:
    """Delete an endpoint that no other falls back to; callers get 404 from then on."""
    await endpoints.delete(tx, caller, endpoint, environment=environment, if_match=if_match)
