"""Routes of deployments."""

from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import Depends, Query, Request, Response

from towpath_server.adapters import facilities
from towpath_server.adapters.facilities import Facilities
from towpath_server.core.errors import (
    Forbidden,
    InUse,
    InvalidRequest,
    ManifestUnreadable,
    NotFound,
    RevisionConflict,
)
from towpath_server.domains.deployments import schemas
from towpath_server.domains.deployments import service as deployments
from towpath_server.domains.deployments.errors import (
    BeingDeleted,
    ManifestInvalid,
    NothingBefore,
    SourceFetching,
)
from towpath_server.domains.deployments.schemas import (
    CheckedOut,
    DeploymentOut,
    EventOut,
    RevisionOut,
    RollbackIn,
)
from towpath_server.web import edge
from towpath_server.web.deps import Caller, IfMatch, Paging, ReadTx, WriteTx
from towpath_server.web.paging import Page
from towpath_server.web.problems import problems
from towpath_server.web.schemas import Ref

router = edge.router("deployment", "/deployments")
Machine = Annotated[Facilities, Depends(facilities.of)]
Environment = Literal["sandbox", "staging", "production"]
InEnvironment = Annotated[Environment | None, Query(description="Only this environment.")]

_MANIFEST = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"type": "object"}},
            "application/yaml": {"schema": {"type": "string"}},
        },
    }
}


@dataclass(frozen=True)
class Order:
    """What is asked for beside the manifest."""

    environment: str
    dry_run: bool
    if_match: int | None
    machine: Facilities


def _order(
    if_match: IfMatch,
    machine: Machine,
    environment: Annotated[Environment, Query(description="Where it is to be served.")],
    *,
    dry_run: Annotated[bool, Query(description="Check only; nothing is changed.")] = False,
) -> Order:
    return Order(environment, dry_run, if_match, machine)


@dataclass(frozen=True)
class Back:
    """What is asked for beside the revision to go back to."""

    environment: str | None
    if_match: int | None
    machine: Facilities


def _back(if_match: IfMatch, machine: Machine, environment: InEnvironment = None) -> Back:
    return Back(environment, if_match, machine)


@router.post(
    "",
    status_code=201,
    response_model=DeploymentOut | CheckedOut,
    openapi_extra=_MANIFEST,
    responses=problems(
        NotFound,
        Forbidden,
        BeingDeleted,
        SourceFetching,
        RevisionConflict,
        ManifestUnreadable,
        ManifestInvalid,
    ),
)
async def create(
    request: Request,
    response: Response,
    caller: Caller,
    tx: WriteTx,
    order: Annotated[Order, Depends(_order)],
) -> DeploymentOut | CheckedOut:
    """
    Deploy a `ModelDeployment` manifest (JSON or YAML); the same name again is its next revision.

    Everything that is wrong is answered at once. While a model from outside is fetched, the answer
    is 409 `source_fetching`: send the manifest again. Model servers follow; the conditions tell how
    far they are.
    """
    kind = request.headers.get("content-type", "")
    draft = schemas.read_bytes(await request.body(), kind, environment=order.environment)
    if order.dry_run:
        response.status_code = 200
        checked = await deployments.check(
            tx, caller, draft, environment=order.environment, facilities=order.machine
        )
        return CheckedOut.of(checked)
    deployment = await deployments.apply(
        tx,
        caller,
        draft,
        environment=order.environment,
        facilities=order.machine,
        if_match=order.if_match,
    )
    response.status_code = 201 if deployment.revision == 1 else 200
    return DeploymentOut.of(await deployments.get(tx, caller, deployment.id))


@router.get("", responses=problems(NotFound))
async def list(  # noqa: A001
    caller: Caller,
    tx: ReadTx,
    window: Paging,
    environment: InEnvironment = None,
    project: Annotated[Ref | None, Query(description="Only this project's.")] = None,
) -> Page[DeploymentOut]:
    """List deployments, each with how far it is."""
    found = await deployments.list(tx, caller, window, environment=environment, project=project)
    return Page.of(found, DeploymentOut.of)


@router.get("/{deployment}", responses=problems(NotFound, InvalidRequest))
async def get(
    deployment: Ref, caller: Caller, tx: ReadTx, environment: InEnvironment = None
) -> DeploymentOut:
    """Return a deployment, by id or name."""
    return DeploymentOut.of(await deployments.get(tx, caller, deployment, environment=environment))


@router.delete(
    "/{deployment}",
    status_code=204,
    responses=problems(NotFound, Forbidden, InUse, RevisionConflict, InvalidRequest),
)
async def delete(
    deployment: Ref,
    caller: Caller,
    tx: WriteTx,
    if_match: IfMatch,
    environment: InEnvironment = None,
) -> None:
    """Take a deployment and its endpoint away; its model servers end in order."""
    await deployments.delete(tx, caller, deployment, environment=environment, if_match=if_match)


@router.get("/{deployment}/revisions", responses=problems(NotFound, InvalidRequest))
async def list_revisions(
    deployment: Ref,
    caller: Caller,
    tx: ReadTx,
    window: Paging,
    environment: InEnvironment = None,
) -> Page[RevisionOut]:
    """List what was declared, newest first."""
    view, found = await deployments.revisions(
        tx, caller, deployment, window, environment=environment
    )
    return Page.of(found, lambda one: RevisionOut.of(view, one))


@router.get("/{deployment}/revisions/{number}", responses=problems(NotFound, InvalidRequest))
async def get_revision(
    deployment: Ref,
    number: int,
    caller: Caller,
    tx: ReadTx,
    environment: InEnvironment = None,
) -> RevisionOut:
    """Return what was declared as one revision."""
    view, found = await deployments.at_revision(
        tx, caller, deployment, number, environment=environment
    )
    return RevisionOut.of(view, found)


@router.post(
    "/{deployment}/rollback",
    status_code=200,
    responses=problems(
        NotFound, Forbidden, InvalidRequest, NothingBefore, RevisionConflict, ManifestInvalid
    ),
)
async def roll_back(
    deployment: Ref,
    body: RollbackIn,
    caller: Caller,
    tx: WriteTx,
    back: Annotated[Back, Depends(_back)],
) -> DeploymentOut:
    """
    Declare an earlier revision anew, with the very content it had; it goes the same path.

    Back to what serves while a newer revision takes over step by step, that one is rolled back.
    """
    view, former, manifest = await deployments.former(
        tx, caller, deployment, to=body.to, environment=back.environment
    )
    if await deployments.aborted(tx, caller, view, former, if_match=back.if_match):
        return DeploymentOut.of(await deployments.get(tx, caller, view.deployment.id))
    made = await deployments.apply(
        tx,
        caller,
        schemas.read(manifest, environment=view.deployment.environment),
        environment=view.deployment.environment,
        facilities=back.machine,
        if_match=back.if_match,
        origin=deployments.returning(caller, view, former),
    )
    return DeploymentOut.of(await deployments.get(tx, caller, made.id))


@router.get("/{deployment}/events", responses=problems(NotFound, InvalidRequest))
async def list_events(
    deployment: Ref,
    caller: Caller,
    tx: ReadTx,
    window: Paging,
    environment: InEnvironment = None,
) -> Page[EventOut]:
    """List what it went through, oldest first: every change of a condition or of the phase."""
    found = await deployments.events(tx, caller, deployment, window, environment=environment)
    return Page.of(found, EventOut.of)
