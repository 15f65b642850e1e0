"""Routes of quotas."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Depends, Query

from towpath_server.adapters import facilities
from towpath_server.adapters.facilities import Facilities
from towpath_server.core.access import Principal
from towpath_server.core.db import Tx
from towpath_server.core.errors import Forbidden, NotFound, RevisionConflict
from towpath_server.domains.approvals import service as approvals
from towpath_server.domains.approvals.models import Approval, Kind, Wish
from towpath_server.domains.quotas import schemas
from towpath_server.domains.quotas import service as quotas
from towpath_server.domains.quotas.errors import QuotaSet
from towpath_server.domains.quotas.schemas import (
    Environment,
    QuotaCreate,
    QuotaOut,
    QuotaStateOut,
    QuotaUpdate,
)
from towpath_server.web import edge
from towpath_server.web.deps import Caller, IfMatch, Paging, ReadTx, WriteTx
from towpath_server.web.paging import Page
from towpath_server.web.problems import problems
from towpath_server.web.schemas import Ref

router = edge.router("quota", "/quotas")
Machine = Annotated[Facilities, Depends(facilities.of)]


@router.post("", status_code=201, responses=problems(Forbidden, NotFound, QuotaSet))
async def create(body: QuotaCreate, caller: Caller, tx: WriteTx) -> QuotaOut:
    """Set what a team may reserve in an environment; it takes the place of the default."""
    made = await quotas.create(
        tx, caller, team=body.team, environment=body.environment, amounts=body.amounts()
    )
    return QuotaOut.of(made)


@router.get("", responses=problems(Forbidden, NotFound))
async def list(  # noqa: A001
    caller: Caller,
    tx: ReadTx,
    window: Paging,
    team: Annotated[Ref | None, Query(description="Only this team's.")] = None,
    environment: Annotated[Environment | None, Query(description="Only this one's.")] = None,
) -> Page[QuotaOut]:
    """List the quotas that you may see; teams without one have the default of the settings."""
    found = await quotas.list(tx, caller, window, team=team, environment=environment)
    return Page.of(found, QuotaOut.of)


@router.get("/{quota}", responses=problems(NotFound))
async def get(quota: Ref, caller: Caller, tx: ReadTx) -> QuotaOut:
    """Return a quota, by id or as `team:environment`."""
    return QuotaOut.of(await quotas.get(tx, caller, quota))


@router.get("/{quota}/state", responses=problems(NotFound))
async def state(quota: Ref, caller: Caller, tx: ReadTx, machine: Machine) -> QuotaStateOut:
    """
    Say what is used and free, and who holds it.

    `team:environment` answers where the default of the settings holds, too.
    """
    return QuotaStateOut.of(await quotas.state(tx, caller, quota, machine.quotas))


@router.patch("/{quota}", responses=problems(NotFound, Forbidden, RevisionConflict))
async def update(
    quota: Ref, body: QuotaUpdate, caller: Caller, tx: WriteTx, if_match: IfMatch
) -> QuotaOut:
    """Change what may be reserved; what is held already stays, and null lifts a part."""
    changed = await quotas.update(tx, caller, quota, changes=body.changes(), if_match=if_match)
    return QuotaOut.of(changed)


@router.delete(
    "/{quota}", status_code=204, responses=problems(NotFound, Forbidden, RevisionConflict)
)
async def delete(quota: Ref, caller: Caller, tx: WriteTx, if_match: IfMatch) -> None:
    """Delete a quota; the default of the settings holds again."""
    await quotas.delete(tx, caller, quota, if_match=if_match)


async def _asked(
    tx: Tx, caller: Principal, payload: Mapping[str, Any], _machine: Facilities
) -> Wish:
    found = schemas.asked(payload)
    return await quotas.ask(
        tx, caller, team=found.team, environment=found.environment, changes=found.wanted()
    )


async def _granted(
    tx: Tx, caller: Principal, approval: Approval, machine: Facilities
) -> Mapping[str, Any]:
    return await quotas.grant(tx, caller, approval, machine.quotas)


approvals.offer(Kind("quota", _asked, _granted, by_platform=True))
