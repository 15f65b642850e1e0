"""Rules of policies: who may set them, and what they say of a manifest."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from towpath_server.core import ids, revision, suggest, uses
from towpath_server.core.access import SYSTEM, Principal, Verb
from towpath_server.core.db import Tx
from towpath_server.core.errors import Finding, Forbidden, NameTaken, NotFound
from towpath_server.core.paging import Slice, Window
from towpath_server.domains.audit import service as audit
from towpath_server.domains.policies import store
from towpath_server.domains.policies.errors import PolicyInvalid
from towpath_server.domains.policies.models import (
    Default,
    Policy,
    PolicyDraft,
    PolicyVersion,
    Rules,
    Verdict,
)
from towpath_server.domains.policies.service import rules
from towpath_server.domains.policies.service.asking import KIND as KIND
from towpath_server.domains.policies.service.asking import ask as ask
from towpath_server.domains.policies.service.asking import exempt as exempt
from towpath_server.domains.policies.service.asking import grant as grant
from towpath_server.domains.policies.service.facts import Facts as Facts
from towpath_server.domains.policies.service.rules import FAILED as FAILED
from towpath_server.domains.policies.service.shipped import defaults as defaults
from towpath_server.domains.teams import service as teams

MAX_POLICIES = 100  # of the organisation, and of one team: all of them look at every manifest


async def apply(
    tx: Tx, caller: Principal, draft: PolicyDraft, *, if_match: int | None = None
) -> tuple[Policy, bool]:
    """
    Set a policy, and tell whether it is new; the same name again replaces it.

    It holds for the next manifest that is checked.

    Raises:
        NotFound: There is no such team that the caller may see.
        Forbidden: The caller does not administer the team, or it is everybody's.
        NameTaken: Another team, or the organisation, has a policy of this name.
        PolicyInvalid: There are too many.
        RevisionConflict: It is no longer at `if_match`.
    """
    team = await teams.get(tx, caller, draft.team) if draft.team else None
    if team is not None:
        caller.require(Verb.CREATE, "policy", team=team.id, ref=team.name)
    elif not caller.may(Verb.CREATE, "policy"):
        raise Forbidden(
            "A policy without `metadata.team` holds for everybody, which takes the platform role.",
            fix="Write `metadata.team` with a team that you administer.",
        )
    owner = team.id if team else None
    present = await store.find(tx, draft.name)
    if present is None:
        return await _insert(tx, caller, draft, owner), True
    if present.team_id != owner:
        raise NameTaken("policy", draft.name, owner="the organisation")
    revision.match(if_match, present.revision)
    if present.document == draft.document:
        return await _called(tx, present), False
    await store.change(tx, present, draft.mode, draft.document)
    changed = replace(
        present,
        mode=draft.mode,
        document=draft.document,
        revision=present.revision + 1,
        updated_at_ms=tx.now_ms,
    )
    await _note(tx, caller, changed, "updated")
    return await _called(tx, changed), False


async def get(tx: Tx, caller: Principal, ref: str) -> Policy:
    """
    Return a policy by id or name; the organisation's are everybody's to read.

    Raises:
        NotFound: There is none that the caller may see.
    """
    policy = await store.find(tx, ref)
    if policy is None:
        known = await store.page(tx, caller.reach("policy"), Window(limit=1_000))
        raise NotFound("policy", ref, fix=suggest.did_you_mean(ref, [one.name for one in known]))
    if policy.team_id is not None:
        caller.require(Verb.READ, "policy", team=policy.team_id, ref=ref)
    return await _called(tx, policy)


async def list(tx: Tx, caller: Principal, window: Window) -> Slice[Policy]:  # noqa: A001
    """List the organisation's policies and those of the caller's teams."""
    found = Slice.cut(await store.page(tx, caller.reach("policy"), window), window)
    names = await teams.names(tx, {one.team_id for one in found.items if one.team_id})
    return Slice(
        [replace(one, team=names.get(one.team_id or "")) for one in found.items], found.next
    )


async def versions(tx: Tx, caller: Principal, ref: str, window: Window) -> Slice[PolicyVersion]:
    """
    List what a policy said, the newest first.

    Raises:
        NotFound: There is none that the caller may see.
    """
    policy = await get(tx, caller, ref)
    found = await store.versions(tx, policy.id, window)
    return Slice.cut(found, window, key=lambda one: str(one.number))


async def delete(tx: Tx, caller: Principal, ref: str, *, if_match: int | None) -> None:
    """
    Delete a policy; its history stays.

    Raises:
        NotFound: There is none that the caller may see.
        Forbidden: The caller does not administer whose it is.
        RevisionConflict: It is no longer at `if_match`.
    """
    policy = await get(tx, caller, ref)
    if policy.team_id is not None:
        caller.require(Verb.DELETE, "policy", team=policy.team_id, ref=ref)
    elif not caller.may(Verb.DELETE, "policy"):
        raise Forbidden(
            f"The policy `{policy.name}` is the organisation's; a team cannot take it away.",
            fix="Ask those who run the platform.",
        )
    revision.match(if_match, policy.revision)
    await _remove(tx, caller, policy)


async def judge(tx: Tx, *, team_id: str, facts: Facts) -> Verdict:
    """Say what the policies in force find in a manifest of a team."""
    in_force = [Rules.of(policy.document) for policy in await store.in_force(tx, team_id)]
    return await _judge(in_force, facts)


async def evaluate(
    tx: Tx,
    caller: Principal,
    drafts: Sequence[PolicyDraft] | None,
    cases: Sequence[Facts],
    *,
    team: str | None,
) -> Sequence[Verdict]:
    """
    Try policies out on manifests that nobody deploys.

    Args:
        drafts: Policies that need not be in force; none: those that are.
        team: Whose policies hold beside the organisation's.

    Raises:
        NotFound: There is no such team that the caller may see.
        Forbidden: The caller may read no policies.
    """
    owner = await teams.get(tx, caller, team) if team else None
    if owner is not None:
        caller.require(Verb.READ, "policy", team=owner.id, project=caller.project, ref=owner.name)
    else:
        caller.reach("policy")
    if drafts is None:
        in_force = await store.in_force(tx, owner.id if owner else None)
        tried = [Rules.of(policy.document) for policy in in_force]
    else:
        tried = [Rules.of(draft.document) for draft in drafts]
    return [await _judge(tried, facts) for facts in cases]


async def install_defaults(tx: Tx) -> None:
    """Set the policies that come with the platform, but none that was there once."""
    known = await store.known_names(tx)
    for default in defaults():
        if default.name not in known:
            draft = PolicyDraft(default.name, None, default.mode, default.document)
            await apply(tx, SYSTEM, draft)


def default(name: str) -> Default:
    """
    Return a policy that comes with the platform.

    Raises:
        NotFound: None has this name.
    """
    found = {one.name: one for one in defaults()}
    if name not in found:
        raise NotFound("default policy", name, fix=suggest.did_you_mean(name, found))
    return found[name]


@uses.falls_with("team")
async def _gone(tx: Tx, team_id: str) -> None:
    for policy in await store.of_team(tx, team_id):
        await _remove(tx, SYSTEM, policy)


async def _judge(tried: Sequence[Rules], facts: Facts) -> Verdict:
    # In a thread, so that the loop goes on between two expressions.
    return await asyncio.to_thread(rules.judge, tried, facts)


async def _insert(tx: Tx, caller: Principal, draft: PolicyDraft, owner: str | None) -> Policy:
    if owner is None:
        count = sum(1 for one in await store.in_force(tx, None))
    else:
        count = len(await store.of_team(tx, owner))
    if count >= MAX_POLICIES:
        fix = "Delete one, or put several validations into one policy."
        raise PolicyInvalid(
            [Finding("#", f"There are {MAX_POLICIES} policies already.", fix, reason="TooMany")]
        )
    policy = Policy(
        id=ids.new("pol"),
        revision=1,
        created_at_ms=tx.now_ms,
        updated_at_ms=tx.now_ms,
        name=draft.name,
        team_id=owner,
        mode=draft.mode,
        document=draft.document,
    )
    await store.insert(tx, policy)
    await _note(tx, caller, policy, "created")
    return await _called(tx, policy)


async def _remove(tx: Tx, caller: Principal, policy: Policy) -> None:
    await store.remove(tx, policy)
    await _note(tx, caller, replace(policy, revision=policy.revision + 1), "deleted")


async def _called(tx: Tx, policy: Policy) -> Policy:
    if policy.team_id is None:
        return policy
    names = await teams.names(tx, {policy.team_id})
    return replace(policy, team=names.get(policy.team_id))


async def _note(tx: Tx, caller: Principal, policy: Policy, what: str) -> None:
    """Add to the history and to the audit log."""
    await store.insert_version(
        tx,
        PolicyVersion(
            policy_id=policy.id,
            number=policy.revision,
            name=policy.name,
            change=what,
            mode=policy.mode,
            document=policy.document,
            at_ms=tx.now_ms,
            by=caller.id,
        ),
    )
    changes: dict[str, Any] = {"name": policy.name, "mode": policy.mode}
    if what != "deleted":
        changes["revision"] = policy.revision
    await audit.append(
        tx,
        caller,
        action=f"policy.{what}",
        noun="policy",
        id=policy.id,
        team=policy.team_id,
        changes=changes,
    )
