"""May the caller deploy there: what asks for approvals is for those who give them."""

from towpath_server.core.access import Principal, PrincipalKind, Verb
from towpath_server.core.db import Tx
from towpath_server.domains.deployments.service.check.inquiry import Inquiry
from towpath_server.domains.endpoints.models import ENVIRONMENTS
from towpath_server.domains.users.service import members

_SHOWN = 3  # names of people to ask; more would not help


async def check(inquiry: Inquiry) -> None:
    """Refuse a manifest handed in by somebody who may only ask for it there."""
    project, metadata = inquiry.project, inquiry.draft.metadata
    rules, caller = inquiry.facilities.approvals, inquiry.caller
    if project is None or metadata is None or inquiry.origin is not None:
        return
    if not rules.needed(inquiry.environment) or may_approve(caller, project.team_id):
        return
    open_to = [f"`{name}`" for name in ENVIRONMENTS if not rules.needed(name)]
    where = f"to {' and '.join(open_to)} of `{project.team_name}`, " if open_to else ""
    promote = f"towpath promote {metadata.name} --to {inquiry.environment} --request"
    inquiry.add(
        "#/metadata/project",
        "NotAllowedHere",
        f"You may deploy {where}not to `{inquiry.environment}`.",
        f"{await who_can(inquiry.tx, project.team_id)} can, or may approve it: `{promote}`.",
    )


def may_approve(caller: Principal, team_id: str) -> bool:
    """Tell whether a caller may decide what a team asks for."""
    return caller.kind is PrincipalKind.SYSTEM or caller.may(Verb.UPDATE, "approval", team=team_id)


async def who_can(tx: Tx, team_id: str) -> str:
    """Name those who may: the team's admins, else those who run the platform."""
    names = await members.admins(tx, team_id, limit=_SHOWN)
    if not names:
        return "Those who run the platform"
    return f"An admin of the team ({', '.join(names)})"
