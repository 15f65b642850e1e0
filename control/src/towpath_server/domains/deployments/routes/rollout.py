"""Routes of rollouts: where one stands, and what can be done with it."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Query

from towpath_server.core.db import Tx
from towpath_server.core.errors import Forbidden, InvalidRequest, NotFound, RevisionConflict
from towpath_server.domains.deployments.errors import RolloutOver
from towpath_server.domains.deployments.routes.manifests import InEnvironment, router
from towpath_server.domains.deployments.schemas.rollout import RolloutOut
from towpath_server.domains.deployments.service import rollouts
from towpath_server.domains.deployments.service.rollouts import Act
from towpath_server.web.deps import Caller, IfMatch, ReadTx, WriteTx
from towpath_server.web.problems import problems
from towpath_server.web.schemas import Ref


@dataclass(frozen=True)
class Which:
    """Whose rollout is meant, and as it was at which revision."""

    deployment: str
    environment: str | None
    if_match: int | None
    caller: Caller

    async def act(self, tx: Tx, what: Act) -> RolloutOut:
        """Do something with it."""
        found = await rollouts.act(
            tx,
            self.caller,
            self.deployment,
            what,
            environment=self.environment,
            if_match=self.if_match,
        )
        return RolloutOut.of(found)


def _which(
    deployment: Ref, caller: Caller, if_match: IfMatch, environment: InEnvironment = None
) -> Which:
    return Which(deployment, environment, if_match, caller)


Meant = Annotated[Which, Depends(_which)]
_PROBLEMS = problems(NotFound, Forbidden, RevisionConflict, RolloutOver, InvalidRequest)


@router.get("/{deployment}/rollout", responses=problems(NotFound, InvalidRequest))
async def get_rollout(
    deployment: Ref,
    caller: Caller,
    tx: ReadTx,
    environment: InEnvironment = None,
    of_revision: Annotated[
        int | None, Query(ge=1, description="Of this revision; absent: the last one there was.")
    ] = None,
) -> RolloutOut:
    """Say how far a newer revision has taken over, with what was counted in each step."""
    found = await rollouts.standing(
        tx, caller, deployment, environment=environment, number=of_revision
    )
    return RolloutOut.of(found)


@router.post("/{deployment}/rollout/pause", responses=_PROBLEMS)
async def pause_rollout(tx: WriteTx, which: Meant) -> RolloutOut:
    """Stop the clock of a rollout: its step stays, and is still judged."""
    return await which.act(tx, Act.PAUSE)


@router.post("/{deployment}/rollout/resume", responses=_PROBLEMS)
async def resume_rollout(tx: WriteTx, which: Meant) -> RolloutOut:
    """Let a rollout go on; the pause does not count towards its step."""
    return await which.act(tx, Act.RESUME)


@router.post("/{deployment}/rollout/finish", responses=_PROBLEMS)
async def finish_rollout(tx: WriteTx, which: Meant) -> RolloutOut:
    """Skip the steps that are left: all of the traffic, once all replicas are healthy."""
    return await which.act(tx, Act.FINISH)


@router.post("/{deployment}/rollout/abort", responses=_PROBLEMS)
async def abort_rollout(tx: WriteTx, which: Meant) -> RolloutOut:
    """Roll a newer revision back now; the one that serves goes on alone."""
    return await which.act(tx, Act.ABORT)
