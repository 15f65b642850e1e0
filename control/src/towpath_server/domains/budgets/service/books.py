"""
The books: what was used of each budget, kept in the ledger.

A batch of records counts in the transaction that stores it, each record once, in the period in
which its request came in. What was used before a budget was made comes from the hourly sums. Both
are exact whoever does them at the same time: a batch holds the definitions' version while it is
counted, and a budget that is registered waits for those batches before it adds up.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from towpath_server.core.db import Tx
from towpath_server.domains.budgets.models import (
    Budget,
    BudgetState,
    Definition,
    Level,
    News,
    Unit,
    Use,
)
from towpath_server.domains.budgets.store import ledger as store
from towpath_server.domains.limits.models import PARTS, Subject
from towpath_server.domains.usage import service as usage
from towpath_server.domains.usage.models import Entry, Whose

# What a gateway is told of a period after its end: requests that came in before may still be open.
_AFTERMATH_MS = 60_000
# A reply's part of the uses; the next poll gets the rest at once.
MAX_USES = 5_000
_LONGEST_PERIOD_MS = 31 * 86_400_000
# What was registered longer ago than any transaction may take, and is not declared, never will be.
_ORPHANED_MS = 600_000


@dataclass(frozen=True)
class Index:
    """Definitions by the first part of their subject, as of a version; kept between batches."""

    version: int = -1
    by_part: Mapping[tuple[str, str], tuple[Definition, ...]] = field(default_factory=dict)
    by_id: Mapping[str, Definition] = field(default_factory=dict)

    @classmethod
    def of(cls, version: int, definitions: Iterable[Definition]) -> "Index":
        """Sort definitions."""
        by_id = {one.id: one for one in definitions}
        by_part: dict[tuple[str, str], tuple[Definition, ...]] = {}
        for one in by_id.values():
            part = next(iter(one.subject.given().items()))
            by_part[part] = (*by_part.get(part, ()), one)
        return cls(version, by_part, by_id)

    def matching(self, entry: Entry) -> Iterable[Definition]:
        """List the definitions that a record counts towards."""
        own = _parts(entry)
        for part, id_ in own.items():
            for definition in self.by_part.get((part, id_), ()):
                if definition.subject.given().items() <= own.items():
                    yield definition


async def count(
    ledger: Tx, index: Index, stored: Sequence[Entry], *, sequences: Mapping[str, int]
) -> tuple[Index, News]:
    """
    Count records that were stored in this transaction, and note how far their gateways are.

    Args:
        index: What the former batch was counted by; it is read anew when definitions changed.
        stored: Records that really were inserted, and no others.
        sequences: The highest sequence of each gateway in the batch, repeated records included.

    Returns: The index in force, and the uses that the batch changed.
    """
    await store.advance(ledger, sequences)
    version = await store.version(ledger)
    if version != index.version:
        index = Index.of(version, await store.all_definitions(ledger))
    if not index.by_id:
        return index, News()
    added: dict[tuple[str, int], int] = {}
    for entry in stored:
        tokens = (entry.input_tokens or 0) + (entry.output_tokens or 0)
        cost = entry.cost_nano or 0
        if tokens or cost:
            for one in index.matching(entry):
                start = one.period.start_ms(entry.time_ms)
                if start >= one.counts_from_ms:
                    place = (one.id, start)
                    amount = tokens if one.unit is Unit.TOKENS else cost
                    added[place] = added.get(place, 0) + amount
    uses = await _add(ledger, index.by_id, {place: n for place, n in added.items() if n})
    known = await _as_of(ledger, sequences)
    return index, News(tuple(uses), as_of=known)


async def register(
    ledger: Tx, budgets: Collection[Budget], *, predecessors: Mapping[str, Sequence[str]]
) -> None:
    """
    Let records count towards these budgets from now on, with what was used in their period so far.

    Known ones take over amount and warning.

    Args:
        predecessors: By key, the keys that it replaced: what they used counts, so that a rotation
            renews no budget.
    """
    await store.raise_version(ledger)
    for budget in sorted(budgets, key=lambda one: one.id):
        former = await store.find_definition(ledger, budget.id)
        definition = Definition(
            id=budget.id,
            subject=budget.subject,
            unit=budget.unit,
            period=budget.period,
            amount=budget.amount,
            warn_percent=budget.warn_percent,
            counts_from_ms=former.counts_from_ms
            if former
            else budget.period.start_ms(ledger.now_ms),
        )
        await store.define(ledger, definition)
        if former is None:
            await _add_former(ledger, definition, predecessors.get(budget.subject.key or "", ()))
        else:
            for use in await store.uses_of(ledger, budget.id):
                await store.set_level(ledger, use, definition.level(use.used))


async def orphans(ledger: Tx) -> set[str]:
    """List what was registered long enough ago that it is declared by now, if it ever will be."""
    return await store.registered(ledger, before_ms=ledger.now_ms - _ORPHANED_MS)


async def known(ledger: Tx) -> set[str]:
    """Return the ids of all registered budgets."""
    return {one.id for one in await store.all_definitions(ledger)}


async def unregister(ledger: Tx, ids: Collection[str]) -> None:
    """Forget budgets that are no longer declared."""
    if ids:
        await store.raise_version(ledger)
        await store.undefine(ledger, ids)


async def position(ledger: Tx) -> int:
    """Return the position of the latest use."""
    return await store.position(ledger)


async def since(ledger: Tx, after: int, *, gateway: str) -> News:
    """
    Tell a gateway which uses changed after a position.

    One that counts further than we do comes from another database: it gets all.
    """
    latest = await store.position(ledger)
    found = await store.since(
        ledger,
        after if after <= latest else 0,
        ending_after_ms=ledger.now_ms - _AFTERMATH_MS,
        limit=MAX_USES,
    )
    reached = found[-1][0] if len(found) == MAX_USES else latest
    if not found:
        return News(position=reached)
    uses = tuple(use for _, use in found)
    return News(uses, reached, await _as_of(ledger, [gateway]))


async def active(ledger: Tx, *, within_ms: int) -> Collection[str]:
    """Return the gateways whose records were stored within this time."""
    return await store.as_of(ledger, since_ms=ledger.now_ms - within_ms)


async def state(ledger: Tx, budget: Budget) -> BudgetState:
    """Return where a budget stands in the current period."""
    start = budget.period.start_ms(ledger.now_ms)
    use = await store.find_use(ledger, budget.id, start)
    if use is not None:
        used = use.used
    elif await store.find_definition(ledger, budget.id) is not None:
        used = 0
    else:  # on its way into the ledger
        sums = await usage.sums(ledger, _whose(budget.subject), since_ms=start)
        used = sum(_amount(budget.unit, tokens, cost) for _, tokens, cost in sums)
    return BudgetState(
        budget=budget,
        period_start_ms=start,
        period_end_ms=budget.period.end_ms(start),
        used=used,
        as_of=await _as_of(ledger),
    )


async def untold(ledger: Tx, limit: int) -> list[tuple[Use, Level, Level]]:
    """List uses whose level somebody must still be told of: the use, its level, the one told."""
    return await store.untold(ledger, limit)


async def tell(ledger: Tx, use: Use, level: Level) -> None:
    """Note that somebody was told of a level."""
    await store.tell(ledger, use, level)


async def _add_former(ledger: Tx, definition: Definition, predecessors: Sequence[str]) -> None:
    whose = _whose(definition.subject, predecessors)
    sums = await usage.sums(ledger, whose, since_ms=definition.counts_from_ms)
    added: dict[tuple[str, int], int] = {}
    for hour_ms, tokens, cost in sums:
        place = (definition.id, definition.period.start_ms(hour_ms))
        added[place] = added.get(place, 0) + _amount(definition.unit, tokens, cost)
    # The current period has a row from the beginning, so that gateways know that nothing was used.
    added.setdefault((definition.id, definition.counts_from_ms), 0)
    await _add(ledger, {definition.id: definition}, added)


async def _add(
    ledger: Tx, definitions: Mapping[str, Definition], added: Mapping[tuple[str, int], int]
) -> list[Use]:
    if not added:
        return []
    # In one order everywhere, so that two control planes never wait for each other in a circle.
    places = sorted(added)
    last = await store.take_positions(ledger, len(places))
    uses = await store.add(
        ledger,
        [
            {
                "budget_id": id_,
                "period_start_ms": start,
                "period_end_ms": definitions[id_].period.end_ms(start),
                "used": added[id_, start],
                "position": last - len(places) + 1 + at,
                "level": Level.WITHIN,
                "told": Level.WITHIN,
            }
            for at, (id_, start) in enumerate(places)
        ],
    )
    for use in uses:
        definition = definitions[use.budget_id]
        before = use.used - added[use.budget_id, use.period_start_ms]
        level = definition.level(use.used)
        if level is not definition.level(before):
            await store.set_level(ledger, use, level)
    return uses


async def _as_of(ledger: Tx, gateways: Iterable[str] = ()) -> dict[str, int]:
    since_ms = ledger.now_ms - _LONGEST_PERIOD_MS
    return await store.as_of(ledger, since_ms=since_ms, gateways=gateways)


def _parts(entry: Entry) -> dict[str, str]:
    values = (entry.key_id, entry.project, entry.team, entry.endpoint_id)
    return {part: id_ for part, id_ in zip(PARTS, values, strict=True) if id_}


def _whose(subject: Subject, predecessors: Sequence[str] = ()) -> Whose:
    return Whose(
        keys=(subject.key, *predecessors) if subject.key else None,
        project=subject.project,
        team=subject.team,
        endpoint=subject.endpoint,
    )


def _amount(unit: Unit, tokens: int, cost: int) -> int:
    return tokens if unit is Unit.TOKENS else cost
