"""Rules of limits (here) and of what they count (`service.subjects`)."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from towpath_server.core import ids as new_ids
from towpath_server.core import revision
from towpath_server.core.access import Principal, Verb
from towpath_server.core.db import Tx
from towpath_server.core.errors import Finding, InvalidRequest, NotFound
from towpath_server.core.paging import Slice, Window
from towpath_server.domains.limits import store
from towpath_server.domains.limits.models import Limit, Rules, Setter, SubjectDraft
from towpath_server.domains.limits.service import following, subjects

_NOTHING = SubjectDraft()
_KIND = following.follow(
    following.Kind(
        "limit",
        "lim",
        insert=store.insert,
        naming=store.naming,
        remove_all=store.remove_all,
        worded_by=store.worded_by,
    )
)


async def create(tx: Tx, caller: Principal, draft: SubjectDraft, rules: Rules) -> Limit:
    """
    Set a limit; it is in force at the gateways with this transaction.

    Raises:
        InvalidRequest: It limits nothing, or its subject has not one or two parts.
        NotFound: A part is not there, or the caller may not see it.
        Forbidden: The caller does not administer it.
        SubjectUnmatchable: The parts exclude each other.
    """
    _check(rules)
    subject, owner = await subjects.resolve(tx, caller, draft, noun="limit")
    limit = Limit(
        id=new_ids.new("lim"),
        revision=1,
        created_at_ms=tx.now_ms,
        updated_at_ms=tx.now_ms,
        subject=subject,
        owner=owner,
        set_by=Setter.of(caller),
        rules=rules,
    )
    await store.insert(tx, limit)
    await revision.bump(tx, "limit", limit.id)
    limit = (await subjects.worded(tx, [limit]))[0]
    await _KIND.audit(tx, caller, limit, "created", {**subject.given(), **_shown(rules)})
    return limit


async def get(tx: Tx, caller: Principal, ref: str) -> Limit:
    """
    Return a limit by id.

    Raises:
        NotFound: There is none that the caller may see.
    """
    limit = await store.find(tx, ref)
    if limit is None:
        raise NotFound("limit", ref)
    owner = limit.owner
    caller.require(Verb.READ, "limit", team=owner.team_id, project=owner.project_id, ref=ref)
    return (await subjects.worded(tx, [limit]))[0]


async def list(  # noqa: A001
    tx: Tx, caller: Principal, window: Window, *, of: SubjectDraft = _NOTHING
) -> Slice[Limit]:
    """
    List the limits that the caller may see, of all subjects or of those that have these parts.

    Raises:
        NotFound: A part is not there, or the caller may not see it.
    """
    reach = caller.reach("limit")
    wanted = await subjects.asked(tx, caller, of)
    found = Slice.cut(await store.page(tx, reach, wanted, window), window)
    return Slice(await subjects.worded(tx, found.items), found.next)


async def update(
    tx: Tx, caller: Principal, ref: str, *, changes: Mapping[str, Any], if_match: int | None
) -> Limit:
    """
    Change what is allowed; the subject never changes.

    Args:
        changes: Fields of `Rules`; none takes one away.

    Raises:
        NotFound: There is none that the caller may see.
        Forbidden: The caller does not administer what it limits.
        SetByPlatform: The platform set it, and the caller is a team's.
        RevisionConflict: It is no longer at `if_match`.
        InvalidRequest: Nothing would be limited any more.
    """
    limit = await get(tx, caller, ref)
    subjects.require_change(caller, Verb.UPDATE, "limit", limit)
    revision.match(if_match, limit.revision)
    rules = replace(limit.rules, **changes)
    _check(rules)
    if rules == limit.rules:
        return limit
    await store.change(tx, limit, rules)
    await revision.bump(tx, "limit", limit.id)
    await _KIND.audit(tx, caller, limit, "updated", _shown(rules))
    return replace(limit, rules=rules, revision=limit.revision + 1, updated_at_ms=tx.now_ms)


async def delete(tx: Tx, caller: Principal, ref: str, *, if_match: int | None) -> None:
    """
    Delete a limit; nothing is counted by it any more.

    Raises:
        NotFound: There is none that the caller may see.
        Forbidden: The caller does not administer what it limits.
        SetByPlatform: The platform set it, and the caller is a team's.
        RevisionConflict: It is no longer at `if_match`.
    """
    limit = await get(tx, caller, ref)
    subjects.require_change(caller, Verb.DELETE, "limit", limit)
    revision.match(if_match, limit.revision)
    await store.remove(tx, limit)
    await revision.bump(tx, "limit", limit.id)
    await _KIND.audit(tx, caller, limit, "deleted", {"of": limit.label})


async def routed(
    tx: Tx, *, ids: Collection[str] | None = None, after: str = "", limit: int = 5_000
) -> Sequence[Limit]:
    """List limits by id, or all after one, in order of id, each with its subject in words."""
    return await subjects.worded(tx, await store.rows(tx, wanted=ids, after=after, limit=limit))


def _check(rules: Rules) -> None:
    if rules.nothing:
        detail = "It limits nothing."
        fix = "Send one of `requests_per_second`, `requests_per_minute`, `tokens_per_minute` and "
        fix += "`concurrency`."
        raise InvalidRequest(
            detail, fix=fix, findings=[Finding("#/requests_per_minute", detail, fix)]
        )


def _shown(rules: Rules) -> dict[str, Any]:
    return {
        name: value if isinstance(value, int) else dict(vars(value))
        for name, value in vars(rules).items()
        if value is not None
    }
