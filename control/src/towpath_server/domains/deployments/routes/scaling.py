"""Routes of how deployments are scaled."""

from towpath_server.core.errors import InvalidRequest, NotFound
from towpath_server.domains.deployments.routes.manifests import InEnvironment, router
from towpath_server.domains.deployments.schemas.scaled import ScalingDecisionOut, ScalingOut
from towpath_server.domains.deployments.service import scaling
from towpath_server.web.deps import Caller, Paging, ReadTx
from towpath_server.web.paging import Page
from towpath_server.web.problems import problems
from towpath_server.web.schemas import Ref


@router.get("/{deployment}/scaling", responses=problems(NotFound, InvalidRequest))
async def get_scaling(
    deployment: Ref, caller: Caller, tx: ReadTx, environment: InEnvironment = None
) -> ScalingOut:
    """Say by what the number of replicas is decided, what the load is, and how fast it wakes."""
    return ScalingOut.of(await scaling.standing(tx, caller, deployment, environment=environment))


@router.get("/{deployment}/scaling/decisions", responses=problems(NotFound, InvalidRequest))
async def list_scaling_decisions(
    deployment: Ref,
    caller: Caller,
    tx: ReadTx,
    window: Paging,
    environment: InEnvironment = None,
) -> Page[ScalingDecisionOut]:
    """List how the number of its replicas changed and by which numbers, newest first."""
    found = await scaling.decisions(tx, caller, deployment, window, environment=environment)
    return Page.of(found, ScalingDecisionOut.of)
