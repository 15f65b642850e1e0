"""Routes of policies, and of the defaults that come with the platform."""

from collections.abc import Mapping
from typing import Any

from fastapi import Request, Response

from towpath_server.adapters.facilities import Facilities
from towpath_server.core.access import Principal, Verb
from towpath_server.core.db import Tx
from towpath_server.core.errors import (
    Forbidden,
    ManifestUnreadable,
    NameTaken,
    NotFound,
    RevisionConflict,
)
from towpath_server.core.paging import Slice
from towpath_server.domains.approvals import service as approvals
from towpath_server.domains.approvals.models import Approval, Kind, Wish
from towpath_server.domains.policies import schemas
from towpath_server.domains.policies import service as policies
from towpath_server.domains.policies.errors import PolicyInvalid
from towpath_server.domains.policies.schemas import (
    PolicyDefaultOut,
    PolicyEvaluation,
    PolicyEvaluationOut,
    PolicyOut,
    PolicyVersionOut,
)
from towpath_server.web import edge
from towpath_server.web.deps import Caller, IfMatch, Paging, ReadTx, WriteTx
from towpath_server.web.paging import Page
from towpath_server.web.problems import problems
from towpath_server.web.schemas import Ref

router = edge.router("policy", "/policies")
default_router = edge.router("policy_default", "/policy-defaults")

_POLICY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"type": "object"}},
            "application/yaml": {"schema": {"type": "string"}},
        },
    }
}


@router.post(
    "",
    status_code=201,
    response_model=PolicyOut,
    openapi_extra=_POLICY,
    responses=problems(
        NotFound, Forbidden, NameTaken, RevisionConflict, ManifestUnreadable, PolicyInvalid
    ),
)
async def create(
    request: Request, response: Response, caller: Caller, tx: WriteTx, if_match: IfMatch
) -> PolicyOut:
    """
    Set a policy (JSON or YAML); the same name again replaces it.

    Its expressions are checked at once. It holds for what is deployed from now on; what runs stays.
    """
    body, kind = await request.body(), request.headers.get("content-type", "")
    draft = schemas.read_bytes(body, kind)
    policy, new = await policies.apply(tx, caller, draft, if_match=if_match)
    response.status_code = 201 if new else 200
    return PolicyOut.of(policy)


@router.post("/evaluate", responses=problems(NotFound, Forbidden, PolicyInvalid))
async def evaluate(body: PolicyEvaluation, caller: Caller, tx: WriteTx) -> PolicyEvaluationOut:
    """Try policies out on manifests that nobody deploys; nothing is changed."""
    found = await policies.evaluate(tx, caller, body.drafts(), body.tried(), team=body.team)
    return PolicyEvaluationOut.of(found)


@router.get("", responses=problems(Forbidden))
async def list(caller: Caller, tx: ReadTx, window: Paging) -> Page[PolicyOut]:  # noqa: A001
    """List the organisation's policies and those of your teams."""
    return Page.of(await policies.list(tx, caller, window), PolicyOut.of)


@router.get("/{policy}", responses=problems(NotFound))
async def get(policy: Ref, caller: Caller, tx: ReadTx) -> PolicyOut:
    """Return a policy, by id or name."""
    return PolicyOut.of(await policies.get(tx, caller, policy))


@router.get("/{policy}/versions", responses=problems(NotFound))
async def list_policy_versions(
    policy: Ref, caller: Caller, tx: ReadTx, window: Paging
) -> Page[PolicyVersionOut]:
    """List what a policy said, the newest first."""
    found = await policies.versions(tx, caller, policy, window)
    return Page.of(found, PolicyVersionOut.of)


@router.delete(
    "/{policy}", status_code=204, responses=problems(NotFound, Forbidden, RevisionConflict)
)
async def delete(policy: Ref, caller: Caller, tx: WriteTx, if_match: IfMatch) -> None:
    """Delete a policy; its history stays."""
    await policies.delete(tx, caller, policy, if_match=if_match)


@default_router.get("")
async def list_defaults(caller: Caller, window: Paging) -> Page[PolicyDefaultOut]:
    """List the policies that come with the platform, as they come."""
    caller.require(Verb.READ, "policy_default")
    names = [one.name for one in policies.defaults()]
    start = names.index(window.after) + 1 if window.after in names else 0
    rows = policies.defaults()[start : start + window.limit + 1]
    return Page.of(Slice.cut(rows, window, key=lambda one: one.name), PolicyDefaultOut.of)


@default_router.get("/{default}", responses=problems(NotFound))
async def get_default(default: Ref, caller: Caller) -> PolicyDefaultOut:
    """Return a policy that comes with the platform, as it comes."""
    caller.require(Verb.READ, "policy_default")
    return PolicyDefaultOut.of(policies.default(default))


async def _asked(
    tx: Tx, caller: Principal, payload: Mapping[str, Any], _machine: Facilities
) -> Wish:
    found = schemas.asked(payload)
    policy = await policies.get(tx, caller, found.policy)
    return await policies.ask(tx, caller, found.draft(), policy)


async def _granted(
    tx: Tx, _caller: Principal, approval: Approval, _machine: Facilities
) -> Mapping[str, Any]:
    return await policies.grant(tx, approval)


approvals.offer(Kind(policies.KIND, _asked, _granted, by_platform=True, reasoned=True))
