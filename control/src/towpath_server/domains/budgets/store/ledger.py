"""Queries of what was used of budgets, in the ledger."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, case, delete, or_, select, update

from towpath_server.core.db import Tx
from towpath_server.domains.budgets.models import Definition, Level, Period, Unit, Use
from towpath_server.domains.budgets.tables import counters, definitions, positions, uses
from towpath_server.domains.limits.models import Subject

_DEFINITIONS = "definitions"
_POSITION = "position"
# More than any installation has gateways; what stored nothing for longer than the longest period
# and was restarted since under another id has nothing to say.
_MAX_GATEWAYS = 1_000


async def version(ledger: Tx) -> int:
    """
    Return the version of the definitions, and keep them from changing until this transaction ends.

    Batches share the lock; whoever registers a budget waits for those that were counted without it.
    """
    query = select(counters.c.value).where(counters.c.name == _DEFINITIONS)
    found = (await ledger.execute(query.with_for_update(read=True))).scalar_one_or_none()
    if found is None:
        made = ledger.insert(counters).values(name=_DEFINITIONS, value=0)
        await ledger.execute(made.on_conflict_do_nothing())
        found = (await ledger.execute(query.with_for_update(read=True))).scalar_one()
    return int(found)


async def raise_version(ledger: Tx) -> int:
    """Wait for all batches that are being stored, and count the definitions' version up."""
    return await _raise(ledger, _DEFINITIONS, by=1, first=1)


async def take_positions(ledger: Tx, count: int) -> int:
    """
    Return the last of this many new positions.

    Whoever takes one waits for whoever took one before, so that they are in order of commit. The
    first of a database is the time: two databases never share one.
    """
    return await _raise(ledger, _POSITION, by=count, first=ledger.now_ms)


async def position(ledger: Tx) -> int:
    """Return the latest position; 0 before the first."""
    query = select(counters.c.value).where(counters.c.name == _POSITION)
    return (await ledger.execute(query)).scalar_one_or_none() or 0


async def _raise(ledger: Tx, name: str, *, by: int, first: int) -> int:
    statement = ledger.insert(counters).values(name=name, value=first + by - 1)
    statement = statement.on_conflict_do_update(
        index_elements=["name"], set_={"value": counters.c.value + by}
    )
    return int((await ledger.execute(statement.returning(counters.c.value))).scalar_one())


async def all_definitions(ledger: Tx) -> list[Definition]:
    """Return everything that records are counted by."""
    return [_definition(row) for row in await ledger.execute(select(definitions))]


async def find_definition(ledger: Tx, budget_id: str) -> Definition | None:
    """Find a definition."""
    query = select(definitions).where(definitions.c.id == budget_id)
    row = (await ledger.execute(query)).first()
    return _definition(row) if row else None


async def define(ledger: Tx, definition: Definition) -> None:
    """Add a definition, or change its amount and warning."""
    subject = definition.subject
    statement = ledger.insert(definitions).values(
        id=definition.id,
        key_id=subject.key,
        project_id=subject.project,
        team_id=subject.team,
        endpoint_id=subject.endpoint,
        unit=definition.unit,
        period=definition.period,
        amount=definition.amount,
        warn_percent=definition.warn_percent,
        counts_from_ms=definition.counts_from_ms,
        registered_at_ms=ledger.now_ms,
    )
    await ledger.execute(
        statement.on_conflict_do_update(
            index_elements=["id"],
            set_={
                "amount": definition.amount,
                "warn_percent": definition.warn_percent,
                "registered_at_ms": ledger.now_ms,
            },
        )
    )


async def registered(ledger: Tx, *, before_ms: int) -> set[str]:
    """Return the ids of definitions that were not touched since then."""
    query = select(definitions.c.id).where(definitions.c.registered_at_ms < before_ms)
    return set((await ledger.execute(query)).scalars())


async def undefine(ledger: Tx, ids: Collection[str]) -> None:
    """Remove definitions and what was used of them."""
    await ledger.execute(delete(uses).where(uses.c.budget_id.in_(sorted(ids))))
    await ledger.execute(delete(definitions).where(definitions.c.id.in_(sorted(ids))))


async def add(ledger: Tx, rows: Sequence[Mapping[str, Any]]) -> list[Use]:
    """Add to what was used; return what is used now. Each row has a position of its own."""
    statement = ledger.insert(uses)
    statement = statement.on_conflict_do_update(
        index_elements=["budget_id", "period_start_ms"],
        set_={
            "used": uses.c.used + statement.excluded.used,
            "position": statement.excluded.position,
        },
    ).returning(uses.c.budget_id, uses.c.period_start_ms, uses.c.used)
    found = await ledger.execute(statement, list(rows))
    return [Use(row.budget_id, row.period_start_ms, row.used) for row in found]


async def set_level(ledger: Tx, use: Use, level: Level) -> None:
    """Note how far a budget is used; what was told of a lower level is told no more."""
    await ledger.execute(
        update(uses)
        .where(uses.c.budget_id == use.budget_id, uses.c.period_start_ms == use.period_start_ms)
        .values(level=level, told=case((uses.c.told > level, level), else_=uses.c.told))
    )


async def untold(ledger: Tx, limit: int) -> list[tuple[Use, Level, Level]]:
    """List uses with the level that they have reached and the one that was told."""
    query = select(uses).where(uses.c.level > uses.c.told).limit(limit)
    return [(_use(row), Level(row.level), Level(row.told)) for row in await ledger.execute(query)]


async def tell(ledger: Tx, use: Use, level: Level) -> None:
    """Note that somebody was told."""
    await ledger.execute(
        update(uses)
        .where(uses.c.budget_id == use.budget_id, uses.c.period_start_ms == use.period_start_ms)
        .values(told=level)
    )


async def find_use(ledger: Tx, budget_id: str, period_start_ms: int) -> Use | None:
    """Find what was used of a budget in a period."""
    query = select(uses).where(
        uses.c.budget_id == budget_id, uses.c.period_start_ms == period_start_ms
    )
    row = (await ledger.execute(query)).first()
    return _use(row) if row else None


async def uses_of(ledger: Tx, budget_id: str) -> list[Use]:
    """Return what was used of a budget in each of its periods."""
    query = select(uses).where(uses.c.budget_id == budget_id)
    return [_use(row) for row in await ledger.execute(query)]


async def since(
    ledger: Tx, after: int, *, ending_after_ms: int, limit: int
) -> list[tuple[int, Use]]:
    """List uses that changed after a position, in order, of periods that are not long over."""
    query = (
        select(uses)
        .where(uses.c.position > after, uses.c.period_end_ms > ending_after_ms)
        .order_by(uses.c.position)
        .limit(limit)
    )
    return [(row.position, _use(row)) for row in await ledger.execute(query)]


async def advance(ledger: Tx, sequences: Mapping[str, int]) -> None:
    """Note up to which record each gateway is stored."""
    statement = ledger.insert(positions)
    highest = case(
        (positions.c.sequence > statement.excluded.sequence, positions.c.sequence),
        else_=statement.excluded.sequence,
    )
    await ledger.execute(
        statement.on_conflict_do_update(
            index_elements=["gateway_id"],
            set_={"sequence": highest, "stored_at_ms": statement.excluded.stored_at_ms},
        ),
        [
            {"gateway_id": gateway, "sequence": sequence, "stored_at_ms": ledger.now_ms}
            for gateway, sequence in sorted(sequences.items())
        ],
    )


async def as_of(ledger: Tx, *, since_ms: int, gateways: Iterable[str] = ()) -> dict[str, int]:
    """Return the highest stored sequence of each gateway that stored since then, and of these."""
    recent: ColumnElement[bool] = positions.c.stored_at_ms >= since_ms
    query = select(positions).where(or_(recent, positions.c.gateway_id.in_(sorted(gateways))))
    query = query.order_by(positions.c.stored_at_ms.desc()).limit(_MAX_GATEWAYS)
    return {row.gateway_id: row.sequence for row in await ledger.execute(query)}


def _definition(row: Any) -> Definition:
    return Definition(
        id=row.id,
        subject=Subject(row.key_id, row.project_id, row.team_id, row.endpoint_id),
        unit=Unit(row.unit),
        period=Period(row.period),
        amount=row.amount,
        warn_percent=row.warn_percent,
        counts_from_ms=row.counts_from_ms,
    )


def _use(row: Any) -> Use:
    return Use(row.budget_id, row.period_start_ms, row.used)
