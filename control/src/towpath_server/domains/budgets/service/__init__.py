"""Rules of budgets (here), and what was used of them (`service.books`)."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from towpath_server.core import clock as at
from towpath_server.core import ids as new_ids
from towpath_server.core import revision
from towpath_server.core.access import SYSTEM, Principal, Verb
from towpath_server.core.db import Tx
from towpath_server.core.errors import NotFound
from towpath_server.core.paging import Slice, Window
from towpath_server.domains.budgets.errors import BudgetUnitFixed
from towpath_server.domains.budgets.models import Budget, BudgetDraft, Level, Unit, Use
from towpath_server.domains.budgets.store import declared as store
from towpath_server.domains.keys import service as keys
from towpath_server.domains.limits.models import Setter, SubjectDraft
from towpath_server.domains.limits.service import following, subjects
from towpath_server.domains.notices import service as notices

_NOBODY = SubjectDraft()
_KIND = following.follow(
    following.Kind(
        "budget",
        "bud",
        insert=store.insert,
        naming=store.naming,
        remove_all=store.remove_all,
        worded_by=store.worded_by,
    )
)


async def create(tx: Tx, caller: Principal, subject: SubjectDraft, draft: BudgetDraft) -> Budget:
    """
    Set a budget; what its subject used in the current period already counts.

    Raises:
        InvalidRequest: Its subject has not one or two parts.
        NotFound: A part is not there, or the caller may not see it.
        Forbidden: The caller does not administer it.
        SubjectUnmatchable: The parts exclude each other.
    """
    found, owner = await subjects.resolve(tx, caller, subject, noun="budget")
    budget = Budget(
        id=new_ids.new("bud"),
        revision=1,
        created_at_ms=tx.now_ms,
        updated_at_ms=tx.now_ms,
        subject=found,
        owner=owner,
        set_by=Setter.of(caller),
        **vars(draft),
    )
    await store.insert(tx, budget)
    await revision.bump(tx, "budget", budget.id)
    await _KIND.audit(tx, caller, budget, "created", {**found.given(), **vars(draft)})
    return (await subjects.worded(tx, [budget]))[0]


async def get(tx: Tx, caller: Principal, ref: str) -> Budget:
    """
    Return a budget by id.

    Raises:
        NotFound: There is none that the caller may see.
    """
    budget = await store.find(tx, ref)
    if budget is None:
        raise NotFound("budget", ref)
    owner = budget.owner
    caller.require(Verb.READ, "budget", team=owner.team_id, project=owner.project_id, ref=ref)
    return (await subjects.worded(tx, [budget]))[0]


async def list(  # noqa: A001
    tx: Tx, caller: Principal, window: Window, *, of: SubjectDraft = _NOBODY
) -> Slice[Budget]:
    """
    List the budgets that the caller may see, of all subjects or of those that have these parts.

    Raises:
        NotFound: A part is not there, or the caller may not see it.
    """
    reach = caller.reach("budget")
    wanted = await subjects.asked(tx, caller, of)
    found = Slice.cut(await store.page(tx, reach, wanted, window), window)
    return Slice(await subjects.worded(tx, found.items), found.next)


async def update(
    tx: Tx,
    caller: Principal,
    ref: str,
    *,
    unit: Unit | None,
    changes: Mapping[str, Any],
    if_match: int | None,
) -> Budget:
    """
    Change amount, mode or warning; what was used stays. Subject, unit and period never change.

    Args:
        unit: That of the new amount, where one is given.

    Raises:
        NotFound: There is none that the caller may see.
        Forbidden: The caller does not administer what it is of.
        SetByPlatform: The platform set it, and the caller is a team's.
        RevisionConflict: It is no longer at `if_match`.
        BudgetUnitFixed: The new amount is of another unit.
    """
    budget = await get(tx, caller, ref)
    subjects.require_change(caller, Verb.UPDATE, "budget", budget)
    revision.match(if_match, budget.revision)
    if unit is not None and unit is not budget.unit:
        raise BudgetUnitFixed(budget.unit)
    news = {name: value for name, value in changes.items() if getattr(budget, name) != value}
    if not news:
        return budget
    await store.change(tx, budget, news)
    await revision.bump(tx, "budget", budget.id)
    await _KIND.audit(tx, caller, budget, "updated", news)
    return replace(budget, **news, revision=budget.revision + 1, updated_at_ms=tx.now_ms)


async def delete(tx: Tx, caller: Principal, ref: str, *, if_match: int | None) -> None:
    """
    Delete a budget; what was used stays in the ledger's records.

    Raises:
        NotFound: There is none that the caller may see.
        Forbidden: The caller does not administer what it is of.
        SetByPlatform: The platform set it, and the caller is a team's.
        RevisionConflict: It is no longer at `if_match`.
    """
    budget = await get(tx, caller, ref)
    subjects.require_change(caller, Verb.DELETE, "budget", budget)
    revision.match(if_match, budget.revision)
    await store.remove(tx, budget)
    await revision.bump(tx, "budget", budget.id)
    await _KIND.audit(tx, caller, budget, "deleted", {"of": budget.label})


async def routed(
    tx: Tx, *, ids: Collection[str] | None = None, after: str = "", limit: int = 5_000
) -> Sequence[Budget]:
    """List budgets by id, or all after one, in order of id, each with its subject in words."""
    return await subjects.worded(tx, await store.rows(tx, wanted=ids, after=after, limit=limit))


async def note_level(tx: Tx, use: Use, level: Level, *, notify: bool = False) -> None:
    """
    Note in the audit log that a budget is used so far; with `notify`, for receivers outside too.

    Saying it again, after a crash between this transaction and the ledger's, changes nothing.
    """
    budget = await store.find(tx, use.budget_id)
    if budget is None or not await store.note_level(tx, budget, use, level):
        return
    what = "exhausted" if level is Level.EXHAUSTED else "warned"
    period = at.from_ms(use.period_start_ms).isoformat()
    label = (await subjects.worded(tx, [budget]))[0].label
    changes = {"of": label, "period_start": period, "used": use.used, "amount": budget.amount}
    await _KIND.audit(tx, SYSTEM, budget, what, changes)
    if notify:
        data = {
            "budget": budget.id,
            **budget.subject.given(),
            "unit": budget.unit.value,
            "mode": budget.mode.value,
            "period": budget.period.value,
            "resets_at": at.from_ms(budget.period.end_ms(use.period_start_ms)).isoformat(),
            **changes,
        }
        await notices.tell(tx, f"budget.{what}", data)


async def predecessors(tx: Tx, found: Collection[Budget]) -> dict[str, Sequence[str]]:
    """Return, for each key that these budgets are of, the keys that it replaced."""
    wanted = {budget.subject.key for budget in found} - {None}
    return {key: await keys.replaced_by(tx, key) for key in wanted if key}
