"""
Rules of approvals: who asks, who agrees, and when what was asked is done.

A request is bound to what it was about: whoever changes that calls `void` in the transaction of the
change. The last word that was needed does what was asked, in its own transaction, so that it is
done exactly once or not at all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from towpath_server.adapters.facilities import Facilities
from towpath_server.core import ids, revision, suggest
from towpath_server.core.access import Principal, Role, Verb
from towpath_server.core.db import Tx
from towpath_server.core.errors import Finding, Forbidden, InvalidRequest, NotFound
from towpath_server.core.paging import Slice, Window
from towpath_server.domains.approvals import store
from towpath_server.domains.approvals.errors import ApprovalClosed, DecidedAlready, OwnRequest
from towpath_server.domains.approvals.models import (
    Answer,
    Approval,
    Decision,
    Filter,
    Kind,
    State,
)
from towpath_server.domains.audit import service as audit
from towpath_server.domains.teams import service as teams

_kinds: dict[str, Kind] = {}


def offer(kind: Kind) -> Kind:
    """Register a kind of request."""
    _kinds[kind.name] = kind
    return kind


async def create(
    tx: Tx,
    caller: Principal,
    name: str,
    payload: Mapping[str, Any],
    *,
    reason: str | None,
    facilities: Facilities,
) -> Approval:
    """
    Ask for something that others must agree to.

    An open request for the same thing becomes void.

    Raises:
        InvalidRequest: There is no such kind, or its payload does not hold.
        NotFound: Something that it names is not there, or the caller may not see it.
        Forbidden: The caller may not ask for it.
        TowpathError: Whatever the kind finds wrong.
    """
    kind = _kinds.get(name)
    if kind is None:
        known = ", ".join(f"`{one}`" for one in _kinds)
        fix = suggest.did_you_mean(name, _kinds) or f"Use one of {known}."
        detail = f"`{name[:63]}` is nothing that is asked for here."
        finding = Finding("#/kind", detail, fix, reason="UnknownKind")
        raise InvalidRequest(detail, fix=fix, findings=[finding])
    if kind.reasoned and reason is None:
        fix = "Say in `reason` why, for those who decide."
        finding = Finding("#/reason", "`reason` is missing.", fix, reason="Missing")
        raise InvalidRequest("Nothing says why.", fix=fix, findings=[finding])
    wish = await kind.read(tx, caller, payload, facilities)
    caller.require(Verb.CREATE, "approval", team=wish.team_id, project=wish.project_id)
    approval = Approval(
        id=ids.new("apr"),
        revision=1,
        created_at_ms=tx.now_ms,
        updated_at_ms=tx.now_ms,
        kind=kind.name,
        state=State.PENDING,
        team_id=wish.team_id,
        project_id=wish.project_id,
        environment=wish.environment,
        name=wish.name,
        subject_id=wish.subject_id,
        digest=wish.digest,
        summary=wish.summary,
        payload=wish.payload,
        reason=reason,
        requested_by=caller.id,
        requested_by_name=caller.name,
        needed=max(1, wish.needed),
        expires_at_ms=tx.now_ms + facilities.approvals.lifetime_ms,
    )
    if wish.name is not None and wish.environment is not None:
        why = "there is a newer request"
        await void(tx, caller, subject_id="", name=wish.name, environment=wish.environment, why=why)
    await store.insert(tx, approval)
    await _note(tx, caller, approval, "requested", {"summary": approval.summary, "reason": reason})
    return (await _named(tx, [approval]))[0]


async def get(tx: Tx, caller: Principal, ref: str) -> Approval:
    """
    Return a request by id.

    Raises:
        NotFound: There is none that the caller may see.
    """
    approval = await store.find(tx, ref)
    if approval is None:
        raise NotFound("approval", ref)
    caller.require(
        Verb.READ, "approval", team=approval.team_id, project=approval.project_id, ref=ref
    )
    return (await _named(tx, [approval]))[0]


async def list(  # noqa: A001
    tx: Tx, caller: Principal, wanted: Filter, window: Window
) -> Slice[Approval]:
    """List the requests that the caller may see, newest first."""
    rows = await store.page(tx, caller.reach("approval"), wanted, window)
    found = Slice.cut(rows, window)
    return Slice([*await _named(tx, found.items)], found.next)


async def given(
    tx: Tx, kind: str, *, team_id: str, project_id: str, environment: str
) -> Sequence[Approval]:
    """List the requests of a kind that were agreed to for a project's environment."""
    return await store.given(
        tx, kind, team_id=team_id, project_id=project_id, environment=environment
    )


async def approve(
    tx: Tx,
    caller: Principal,
    ref: str,
    *,
    comment: str | None,
    if_match: int | None,
    facilities: Facilities,
) -> Approval:
    """
    Agree; the last word that is needed does what was asked.

    Raises:
        NotFound: There is none that the caller may see.
        Forbidden: The caller may not decide it.
        OwnRequest: The caller asked for it.
        ApprovalClosed: It is no longer open.
        DecidedAlready: The caller has agreed before.
        RevisionConflict: It is no longer at `if_match`.
        TowpathError: What was asked cannot be done any more; the request stays open.
    """
    approval = await _to_decide(tx, caller, ref, if_match)
    if caller.id == approval.requested_by:
        raise OwnRequest
    if any(one.by_id == caller.id for one in approval.agreed):
        raise DecidedAlready(len(approval.agreed), approval.needed)
    approval = await _decided(tx, caller, approval, Answer.APPROVE, comment)
    await _note(tx, caller, approval, "approved", {"comment": comment})
    if len(approval.agreed) < approval.needed:
        return approval
    approval = await _changed(tx, approval, {"state": State.APPROVED})
    result = await _kinds[approval.kind].do(tx, caller, approval, facilities)
    approval = await _changed(tx, approval, {"result": dict(result)})
    await _note(tx, caller, approval, "carried_out", dict(result))
    return approval


async def reject(
    tx: Tx, caller: Principal, ref: str, *, comment: str | None, if_match: int | None
) -> Approval:
    """
    Refuse; one word is enough.

    Raises:
        NotFound: There is none that the caller may see.
        Forbidden: The caller may not decide it.
        ApprovalClosed: It is no longer open.
        RevisionConflict: It is no longer at `if_match`.
    """
    approval = await _to_decide(tx, caller, ref, if_match)
    approval = await _decided(tx, caller, approval, Answer.REJECT, comment)
    approval = await _changed(tx, approval, {"state": State.REJECTED})
    await _note(tx, caller, approval, "rejected", {"comment": comment})
    return approval


async def void(
    tx: Tx,
    caller: Principal,
    *,
    subject_id: str,
    name: str,
    environment: str,
    why: str,
    but: str | None = None,
) -> None:
    """
    Close the open requests about a deployment that changes in this transaction.

    Args:
        but: Id of the request that is just carried out.
    """
    found = await store.about(
        tx, subject_id=subject_id, name=name, environment=environment, but=but
    )
    for approval in found:
        closed = await _changed(tx, approval, {"state": State.VOID, "note": why})
        await _note(tx, caller, closed, "voided", {"why": why})


async def _to_decide(tx: Tx, caller: Principal, ref: str, if_match: int | None) -> Approval:
    approval = await get(tx, caller, ref)
    caller.require(
        Verb.UPDATE, "approval", team=approval.team_id, project=approval.project_id, ref=ref
    )
    if _kinds[approval.kind].by_platform and caller.platform_role is not Role.PLATFORM:
        raise Forbidden(
            f"A request of the kind `{approval.kind}` is for those who run the platform to decide.",
            fix="Ask them: they see it with `towpath approvals list`.",
        )
    revision.match(if_match, approval.revision)
    if approval.state is not State.PENDING:
        raise ApprovalClosed(approval.summary, approval.state, approval.note)
    return approval


async def _decided(
    tx: Tx, caller: Principal, approval: Approval, answer: Answer, comment: str | None
) -> Approval:
    decision = Decision(
        by_id=caller.id,
        by=caller.name,
        answer=answer,
        at_ms=tx.now_ms,
        comment=comment,
        platform=caller.platform_role is Role.PLATFORM,
    )
    return await _changed(tx, approval, {"decisions": (*approval.decisions, decision)})


async def _changed(tx: Tx, approval: Approval, values: dict[str, Any]) -> Approval:
    await store.change(tx, approval, values)
    return replace(approval, **values, revision=approval.revision + 1, updated_at_ms=tx.now_ms)


async def _named(tx: Tx, found: Sequence[Approval]) -> Sequence[Approval]:
    known = await teams.names(tx, {approval.team_id for approval in found})
    return [
        replace(approval.at(tx.now_ms), team=known.get(approval.team_id, "")) for approval in found
    ]


async def _note(
    tx: Tx, caller: Principal, approval: Approval, what: str, changes: dict[str, Any]
) -> None:
    await audit.append(
        tx,
        caller,
        action=f"approval.{what}",
        noun="approval",
        id=approval.id,
        team=approval.team_id,
        changes={"kind": approval.kind, **changes},
    )
