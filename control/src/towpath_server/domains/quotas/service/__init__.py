"""Rules of quotas: declaring them (here), and what is held of them (`service.held`)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from towpath_server.core import ids, revision, uses
from towpath_server.core.access import SYSTEM, Principal, Verb
from towpath_server.core.db import Tx
from towpath_server.core.errors import NotFound
from towpath_server.core.paging import Slice, Window
from towpath_server.core.quantity import milli, quantity
from towpath_server.core.quota_settings import QuotaSettings
from towpath_server.domains.approvals.errors import ApprovalClosed
from towpath_server.domains.approvals.models import Approval
from towpath_server.domains.audit import service as audit
from towpath_server.domains.quotas import store
from towpath_server.domains.quotas.errors import QuotaSet
from towpath_server.domains.quotas.models import Amounts, Quota, State
from towpath_server.domains.quotas.service import holdings
from towpath_server.domains.quotas.service.asking import ask as ask
from towpath_server.domains.quotas.service.holdings import may_see as may_see
from towpath_server.domains.quotas.service.holdings import source as source
from towpath_server.domains.quotas.service.holdings import taken as taken
from towpath_server.domains.teams import service as teams

ENVIRONMENTS = ("sandbox", "staging", "production")


async def create(
    tx: Tx, caller: Principal, *, team: str, environment: str, amounts: Amounts
) -> Quota:
    """
    Set what a team may reserve in an environment; it takes the place of the default.

    What is held already stays, whatever the quota says.

    Raises:
        NotFound: There is no such team that the caller may see.
        Forbidden: The caller is not the platform.
        QuotaSet: There is one; it is to be changed.
    """
    owner = await teams.get(tx, caller, team)
    caller.require(Verb.CREATE, "quota", team=owner.id)
    await revision.hold(tx)
    present = await store.of(tx, owner.id, environment)
    if present is not None:
        raise QuotaSet(owner.name, environment, present.id)
    quota = Quota(
        id=ids.new("quo"),
        revision=1,
        created_at_ms=tx.now_ms,
        updated_at_ms=tx.now_ms,
        team_id=owner.id,
        environment=environment,
        amounts=amounts,
        team=owner.name,
    )
    await store.insert(tx, quota)
    await _note(tx, caller, quota, "created")
    return quota


async def get(tx: Tx, caller: Principal, ref: str, *, verb: Verb = Verb.READ) -> Quota:
    """
    Return a quota by id, or as `team:environment`.

    Raises:
        NotFound: There is none that the caller may see.
        Forbidden: The caller may see it, and may not `verb` it.
    """
    quota = await _find(tx, ref)
    if quota is None:
        fix = None
        if ":" in ref:
            fix = f"The default of the settings holds; `GET /api/v1/quotas/{ref}/state` shows it."
        raise NotFound("quota", ref, fix=fix)
    caller.require(verb, "quota", team=quota.team_id, ref=ref)
    return (await _named(tx, [quota]))[0]


async def list(  # noqa: A001
    tx: Tx,
    caller: Principal,
    window: Window,
    *,
    team: str | None = None,
    environment: str | None = None,
) -> Slice[Quota]:
    """
    List the quotas that the caller may see; where a team has none, the default holds.

    Raises:
        NotFound: There is no such team that the caller may see.
    """
    reach = caller.reach("quota")
    within: set[str] | None = None if reach.everything else {*reach.teams}
    if within is not None and caller.team is not None:
        within.add(caller.team)  # what a program runs in counts against its team
    if team is not None:
        owner = await teams.get(tx, caller, team)
        within = {owner.id} if within is None else within & {owner.id}
    found = await store.page(tx, within, environment=environment, window=window)
    page = Slice.cut(found, window, key=lambda quota: quota.id)
    return Slice([*await _named(tx, page.items)], page.next)


async def update(
    tx: Tx, caller: Principal, ref: str, *, changes: Mapping[str, Any], if_match: int | None
) -> Quota:
    """
    Change what may be reserved; what is held already stays.

    Args:
        changes: Fields of `Amounts`; none lifts one.

    Raises:
        NotFound: There is none that the caller may see.
        Forbidden: The caller is not the platform.
        RevisionConflict: It is no longer at `if_match`.
    """
    quota = await get(tx, caller, ref, verb=Verb.UPDATE)
    revision.match(if_match, quota.revision)
    amounts = replace(quota.amounts, **changes)
    if amounts == quota.amounts:
        return quota
    await store.change(tx, quota, amounts)
    changed = replace(quota, amounts=amounts, revision=quota.revision + 1, updated_at_ms=tx.now_ms)
    await _note(tx, caller, changed, "updated")
    return changed


async def grant(
    tx: Tx, caller: Principal, approval: Approval, defaults: QuotaSettings
) -> Mapping[str, Any]:
    """
    Give what was asked for and agreed to; what was not asked for stays.

    Raises:
        Forbidden: The caller is not the platform.
        ApprovalClosed: The quota has changed since it was asked for.
    """
    asked = approval.payload
    team, environment, changes = asked["team"], asked["environment"], asked["changes"]
    quota = await store.of(tx, team, environment)
    if (quota.revision if quota else 0) != asked["revision"]:
        raise ApprovalClosed(approval.summary, "void", "the quota has changed since")
    if quota is not None:
        made = await update(tx, caller, quota.id, changes=changes, if_match=None)
    else:
        amounts = replace(_default(defaults, environment), **changes)
        made = await create(tx, caller, team=team, environment=environment, amounts=amounts)
    return {"quota": made.id, "revision": made.revision}


async def delete(tx: Tx, caller: Principal, ref: str, *, if_match: int | None) -> None:
    """
    Delete a quota; the default of the settings holds again.

    Raises:
        NotFound: There is none that the caller may see.
        Forbidden: The caller is not the platform.
        RevisionConflict: It is no longer at `if_match`.
    """
    quota = await get(tx, caller, ref, verb=Verb.DELETE)
    revision.match(if_match, quota.revision)
    await store.remove(tx, quota)
    await _note(tx, caller, quota, "deleted")


async def state(tx: Tx, caller: Principal, ref: str, defaults: QuotaSettings) -> State:
    """
    Say what a team holds in an environment, and who holds it.

    Args:
        ref: Id of a quota, or `team:environment`, which answers for the default, too.

    Raises:
        NotFound: There is no such quota, or no such team, that the caller may see.
    """
    team_id, environment = await _place(tx, caller, ref)
    caller.require(Verb.READ, "quota", team=team_id, ref=ref)
    quota = await store.of(tx, team_id, environment)
    names = await teams.names(tx, {team_id})
    every = await holdings.taken(tx, team_id=team_id, environment=environment)
    seen = tuple(one for one in every if holdings.may_see(caller, one))
    return State(
        quota=quota,
        team_id=team_id,
        team=names.get(team_id, ""),
        environment=environment,
        amounts=quota.amounts if quota else _default(defaults, environment),
        holdings=seen,
        used=holdings.total(every),
        hidden=len(every) - len(seen),
    )


async def allowed(
    tx: Tx, team_id: str, environment: str, defaults: QuotaSettings
) -> tuple[Amounts, str]:
    """Return what a team may reserve, whoever asks, and the team's name."""
    quota = await store.of(tx, team_id, environment)
    names = await teams.names(tx, {team_id})
    return (quota.amounts if quota else _default(defaults, environment)), names.get(team_id, "")


def _default(settings: QuotaSettings, environment: str) -> Amounts:
    given = getattr(settings, environment)
    return Amounts(
        replicas=given.replicas,
        cpu_milli=None if given.cpu is None else milli(given.cpu),
        memory_bytes=None if given.memory is None else int(quantity(given.memory)),
        gpus=given.gpus,
    )


async def _find(tx: Tx, ref: str) -> Quota | None:
    if ids.is_id(ref, "quo"):
        return await store.find(tx, ref)
    name, _, environment = ref.rpartition(":")
    team = await teams.find(tx, name)
    return await store.of(tx, team.id, environment) if team else None


async def _place(tx: Tx, caller: Principal, ref: str) -> tuple[str, str]:
    if ids.is_id(ref, "quo"):
        quota = await get(tx, caller, ref)
        return quota.team_id, quota.environment
    name, _, environment = ref.rpartition(":")
    if environment not in ENVIRONMENTS:
        fix = "Name it by its id, or as `team:environment`, such as `customer-care:sandbox`."
        raise NotFound("quota", ref, fix=fix)
    return (await teams.get(tx, caller, name)).id, environment


async def _named(tx: Tx, found: Sequence[Quota]) -> Sequence[Quota]:
    names = await teams.names(tx, {quota.team_id for quota in found})
    return [replace(quota, team=names.get(quota.team_id, "")) for quota in found]


@uses.falls_with("team")
async def _fall(tx: Tx, team_id: str) -> None:
    for environment in ENVIRONMENTS:
        quota = await store.of(tx, team_id, environment)
        if quota is not None:
            await _note(tx, SYSTEM, quota, "deleted")
    await store.remove_of(tx, team_id)


async def _note(tx: Tx, caller: Principal, quota: Quota, what: str) -> None:
    amounts = {name: value for name, value in vars(quota.amounts).items() if value is not None}
    await audit.append(
        tx,
        caller,
        action=f"quota.{what}",
        noun="quota",
        id=quota.id,
        team=quota.team_id,
        changes={"environment": quota.environment, **amounts},
    )
