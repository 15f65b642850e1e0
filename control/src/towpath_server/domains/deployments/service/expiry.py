"""What stays in the sandbox for a while only: until when, who prolongs it, and how it ends."""

from collections.abc import Sequence
from typing import Any

from towpath_server.adapters.facilities import Facilities
from towpath_server.core import log as logging
from towpath_server.core import revision
from towpath_server.core.access import SYSTEM, Principal, PrincipalKind, Verb
from towpath_server.core.clock import from_ms
from towpath_server.core.db import Tx
from towpath_server.core.errors import InvalidRequest
from towpath_server.domains.audit import service as audit
from towpath_server.domains.deployments.models import Deployment, View
from towpath_server.domains.deployments.service import read
from towpath_server.domains.deployments.store import deployments as store
from towpath_server.domains.notices import service as notices

ENVIRONMENT = "sandbox"

log = logging.get(__name__)


def expires_at(tx: Tx, caller: Principal, environment: str, facilities: Facilities) -> int | None:
    """Return when what is deployed now expires; what the platform made for itself does not."""
    lifetime = facilities.sandbox.lifetime_ms
    if environment != ENVIRONMENT or lifetime is None or caller.kind is PrincipalKind.SYSTEM:
        return None
    return tx.now_ms + lifetime


def renewal(expires_at_ms: int | None) -> dict[str, Any]:
    """Return what is written where a deployment is prolonged."""
    return {"expires_at_ms": expires_at_ms, "warned_at_ms": None}


async def renew(
    tx: Tx,
    caller: Principal,
    ref: str,
    *,
    environment: str | None,
    if_match: int | None,
    facilities: Facilities,
) -> View:
    """
    Let a deployment stay for another lifetime, from now on.

    Raises:
        NotFound: There is none that the caller may see.
        Forbidden: The caller may not change it.
        RevisionConflict: It is no longer at `if_match`.
        InvalidRequest: It does not expire, or is being deleted.
    """
    view = await read.get(tx, caller, ref, verb=Verb.UPDATE, environment=environment)
    deployment = view.deployment
    revision.match(if_match, deployment.revision)
    lifetime = facilities.sandbox.lifetime_ms
    if deployment.expires_at_ms is None or lifetime is None or deployment.deleting:
        raise InvalidRequest(
            f"`{deployment.name}` in {deployment.environment} does not expire, or is on its way "
            "out.",
            fix="Nothing is to be done: only what is in the sandbox expires.",
        )
    until = tx.now_ms + lifetime
    await store.observe(tx, deployment.id, renewal(until))
    await _note(tx, caller, deployment, "renewed", until)
    return await read.get(tx, caller, deployment.id)


async def due(tx: Tx, facilities: Facilities) -> Sequence[str]:
    """Return the ids of deployments that must be told of, or that are to be taken away."""
    now, notice = tx.now_ms, facilities.sandbox.notice_ms
    found = await store.ending(tx, before_ms=now + notice + 1)
    return [one.id for one in found if one.warned_at_ms is None or _over(one, now)]


async def warn(tx: Tx, deployment_id: str, *, notify: bool = False) -> bool:
    """
    Say once that a deployment expires; tell whether its time is over already.

    Args:
        notify: Whether a receiver outside is told too.
    """
    view = await read.load(tx, deployment_id)
    if view is None or view.deployment.deleting or view.deployment.expires_at_ms is None:
        return False
    deployment = view.deployment
    if deployment.warned_at_ms is None:
        await store.observe(tx, deployment.id, {"warned_at_ms": tx.now_ms})
        await _note(tx, SYSTEM, deployment, "expiring", deployment.expires_at_ms)
        if notify:
            await notices.tell(tx, "deployment.expiring", _told(view))
        log.info("deployment.expiring", deployment=deployment.id, name=deployment.name)
    return _over(deployment, tx.now_ms)


def _told(view: View) -> dict[str, Any]:
    """Return what a receiver outside is told."""
    deployment = view.deployment
    return {
        "deployment": deployment.id,
        "name": deployment.name,
        "environment": deployment.environment,
        "team": deployment.team_id,
        "project": deployment.project_path,
        "deployed_by": view.current.origin.by if view.current.origin else None,
        "expires_at": from_ms(deployment.expires_at_ms or 0).isoformat(),
        "renew": f"towpath deployments renew {deployment.name} --environment "
        f"{deployment.environment}",
    }


def _over(deployment: Deployment, now_ms: int) -> bool:
    return deployment.expires_at_ms is not None and deployment.expires_at_ms <= now_ms


async def _note(
    tx: Tx, caller: Principal, deployment: Deployment, what: str, until_ms: int | None
) -> None:
    await audit.append(
        tx,
        caller,
        action=f"deployment.{what}",
        noun="deployment",
        id=deployment.id,
        team=deployment.team_id,
        changes={"name": deployment.name, "expires_at_ms": until_ms},
    )
