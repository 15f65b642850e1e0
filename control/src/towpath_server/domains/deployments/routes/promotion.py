"""Routes that carry a deployment on: to the next environment, or past its end in the sandbox."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends, Query, Response

from towpath_server.adapters.facilities import Facilities
from towpath_server.core.access import Principal
from towpath_server.core.db import Tx
from towpath_server.core.errors import Forbidden, InvalidRequest, NotFound, RevisionConflict
from towpath_server.domains.approvals import service as approvals
from towpath_server.domains.approvals.models import Approval, Kind, Wish
from towpath_server.domains.deployments import schemas
from towpath_server.domains.deployments import service as deployments
from towpath_server.domains.deployments.errors import BeingDeleted, ManifestInvalid
from towpath_server.domains.deployments.models.history import Promotion
from towpath_server.domains.deployments.routes.manifests import (
    Environment,
    InEnvironment,
    Machine,
    router,
)
from towpath_server.domains.deployments.schemas import CheckedOut, DeploymentOut, PromotionIn
from towpath_server.web.deps import Caller, IfMatch, WriteTx
from towpath_server.web.problems import problems
from towpath_server.web.schemas import Ref


@dataclass(frozen=True)
class Order:
    """What is promoted, and how."""

    promotion: Promotion
    dry_run: bool
    if_match: int | None
    machine: Facilities


def _order(
    deployment: Ref,
    body: PromotionIn,
    if_match: IfMatch,
    machine: Machine,
    environment: Annotated[
        Environment | None,
        Query(description="Where it serves now; default: the nearest before `to`."),
    ] = None,
    *,
    dry_run: Annotated[bool, Query(description="Check only; nothing is changed.")] = False,
) -> Order:
    return Order(body.promotion(deployment, environment), dry_run, if_match, machine)


@router.post(
    "/{deployment}/promote",
    status_code=201,
    response_model=DeploymentOut | CheckedOut,
    responses=problems(
        NotFound, Forbidden, BeingDeleted, RevisionConflict, InvalidRequest, ManifestInvalid
    ),
)
async def promote(
    response: Response, caller: Caller, tx: WriteTx, order: Annotated[Order, Depends(_order)]
) -> DeploymentOut | CheckedOut:
    """
    Serve in the next environment what serves here: same content, same runtime, never a rebuild.

    Every check of that environment holds, and everything that is wrong is answered at once. Where
    it asks for approvals, ask with `POST /approvals`.
    """
    if order.dry_run:
        response.status_code = 200
        checked = await deployments.check_promotion(
            tx, caller, order.promotion, read=schemas.read, facilities=order.machine
        )
        return CheckedOut.of(checked)
    made = await deployments.promote(
        tx,
        caller,
        order.promotion,
        read=schemas.read,
        facilities=order.machine,
        if_match=order.if_match,
    )
    response.status_code = 201 if made.revision == 1 else 200
    return DeploymentOut.of(await deployments.get(tx, caller, made.id))


@dataclass(frozen=True)
class Placed:
    """Which deployment of a name is meant, and as it was at which revision."""

    environment: str | None
    if_match: int | None


def _placed(if_match: IfMatch, environment: InEnvironment = None) -> Placed:
    return Placed(environment, if_match)


@router.post(
    "/{deployment}/renew", responses=problems(NotFound, Forbidden, RevisionConflict, InvalidRequest)
)
async def renew(
    deployment: Ref,
    caller: Caller,
    tx: WriteTx,
    machine: Machine,
    placed: Annotated[Placed, Depends(_placed)],
) -> DeploymentOut:
    """Let a deployment stay in the sandbox for another lifetime."""
    view = await deployments.renew(
        tx,
        caller,
        deployment,
        environment=placed.environment,
        if_match=placed.if_match,
        facilities=machine,
    )
    return DeploymentOut.of(view)


async def _read(tx: Tx, caller: Principal, payload: Mapping[str, Any], machine: Facilities) -> Wish:
    return await deployments.ask(
        tx, caller, schemas.asked(payload), read=schemas.read, facilities=machine
    )


async def _do(
    tx: Tx, caller: Principal, approval: Approval, machine: Facilities
) -> Mapping[str, Any]:
    return await deployments.promote_approved(
        tx, caller, approval, read=schemas.read, facilities=machine
    )


approvals.offer(Kind("promotion", _read, _do))
