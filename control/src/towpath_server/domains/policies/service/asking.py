"""
Asking to be exempt from a policy; those who run the platform agree, and it ends by itself.

The approval that was given is the exemption: there is no other record of it.
"""

from collections.abc import Mapping
from typing import Any

from towpath_server.core.access import Principal, Verb
from towpath_server.core.clock import from_ms
from towpath_server.core.db import Tx
from towpath_server.core.errors import Finding, InvalidRequest
from towpath_server.domains.approvals import service as approvals
from towpath_server.domains.approvals.errors import ApprovalClosed
from towpath_server.domains.approvals.models import Approval, Wish
from towpath_server.domains.policies import store
from towpath_server.domains.policies.models import Exemption, ExemptionDraft, Policy
from towpath_server.domains.projects import service as projects

KIND = "policy"
_LONGEST_DAYS = 366  # whoever needs it for longer needs another policy
_DAY_MS = 86_400_000


async def ask(tx: Tx, caller: Principal, draft: ExemptionDraft, policy: Policy) -> Wish:
    """
    Say for which deployment a policy would not refuse, and until when.

    Raises:
        NotFound: There is no such project that the caller may see.
        Forbidden: The caller may ask for nothing there.
        InvalidRequest: It would end in the past, or too far ahead.
    """
    project = await projects.resolve(tx, caller, draft.project, verb=Verb.CREATE, noun="approval")
    if not tx.now_ms < draft.until_ms <= tx.now_ms + _LONGEST_DAYS * _DAY_MS:
        detail = "An exemption ends after now, and within a year."
        fix = f"Use a moment before {_said(tx.now_ms + _LONGEST_DAYS * _DAY_MS)}."
        finding = Finding("#/payload/until", detail, fix, reason="OutOfRange")
        raise InvalidRequest(detail, fix=fix, findings=[finding])
    return Wish(
        team_id=project.team_id,
        project_id=project.id,
        environment=draft.environment,
        subject_id=policy.id,
        summary=f"exempt {project.path}'s {draft.name} in {draft.environment} from the policy "
        f"{policy.name} until {_said(draft.until_ms)}",
        payload={
            "policy": policy.id,
            "policy_name": policy.name,
            "revision": policy.revision,
            "name": draft.name,
            "until_ms": draft.until_ms,
        },
    )


async def grant(tx: Tx, approval: Approval) -> Mapping[str, Any]:
    """
    Let what was asked for and agreed to hold.

    Raises:
        ApprovalClosed: The policy has changed since, or the exemption would have ended.
    """
    asked = approval.payload
    policy = await store.find(tx, asked["policy"])
    if policy is None or policy.revision != asked["revision"]:
        raise ApprovalClosed(approval.summary, "void", "the policy has changed since")
    if asked["until_ms"] <= tx.now_ms:
        raise ApprovalClosed(approval.summary, "void", "it would have ended by now")
    return {"policy": policy.name, "until": _said(asked["until_ms"])}


async def exempt(
    tx: Tx, *, team_id: str, project_id: str, name: str, environment: str
) -> Mapping[str, Exemption]:
    """Return what a deployment is exempt from now, by the policy's name; the longest of each."""
    found: dict[str, Exemption] = {}
    names = {policy.id: policy.name for policy in await store.in_force(tx, team_id)}
    for given in await approvals.given(
        tx, KIND, team_id=team_id, project_id=project_id, environment=environment
    ):
        policy, until_ms = names.get(given.payload["policy"]), given.payload["until_ms"]
        if policy is None or given.payload["name"] != name or until_ms <= tx.now_ms:
            continue
        if policy not in found or found[policy].until_ms < until_ms:
            found[policy] = Exemption(given.id, until_ms)
    return found


def _said(at_ms: int) -> str:
    return from_ms(at_ms).isoformat(timespec="seconds").replace("+00:00", "Z")
