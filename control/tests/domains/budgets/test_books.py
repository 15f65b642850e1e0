"""The books: every record counts once, in its period, whoever stores it and whenever."""

import asyncio
from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from records import batch, record

from towpath_server.core.clock import to_ms
from towpath_server.domains.budgets import tables
from towpath_server.domains.budgets.models import Budget, Level, Mode, Period, Unit
from towpath_server.domains.budgets.service import books
from towpath_server.domains.limits.models import Owner, Setter, Subject
from towpath_server.domains.usage.tables import hourly, records
from towpath_server.gatewaylink.schemas import UsageBatch
from towpath_server.gatewaylink.usage import Intake

NOON = to_ms(datetime(2026, 11, 23, 12, 0, tzinfo=UTC))
DAY = 86_400_000


def budget(id_: str = "bud_1", subject: Subject | None = None, **fields: Any) -> Budget:
    whole: dict[str, Any] = {
        "unit": Unit.TOKENS,
        "amount": 1_000,
        "period": Period.DAY,
        "mode": Mode.HARD,
        "warn_percent": 80,
    }
    return Budget(
        id=id_,
        revision=1,
        created_at_ms=0,
        updated_at_ms=0,
        subject=subject or Subject(team="team_1"),
        owner=Owner("team_1"),
        set_by=Setter.PLATFORM,
        **(whole | fields),
    )


def used_by(sequence: int, tokens: int, **fields: Any) -> dict[str, Any]:
    whole = {"input_tokens": tokens, "output_tokens": 0, "time_ms": NOON} | fields
    return record(sequence, **whole)


async def register(db, *budgets: Budget, **predecessors: list[str]) -> None:
    async with db.ledger_write() as ledger:
        await books.register(ledger, budgets, predecessors=predecessors)


async def take(intake: Intake, *sent: dict[str, Any]):
    return await intake.take(UsageBatch.model_validate(batch(*sent)))


async def used(db) -> dict[tuple[str, int], int]:
    async with db.ledger_read() as ledger:
        rows = await ledger.execute(tables.uses.select())
        return {(row.budget_id, row.period_start_ms): row.used for row in rows if row.used}


async def test_a_batch_answers_with_the_budgets_it_counted_towards(db):
    await register(db, budget(), budget("bud_2", Subject(team="team_2")))

    taken = await take(Intake(db), used_by(1, 30), used_by(2, 12))

    assert [(use.budget_id, use.used) for use in taken.budgets.uses] == [("bud_1", 42)]
    assert taken.budgets.as_of == {"gw_1": 2}


async def test_a_record_that_is_sent_again_is_counted_once(db):
    await register(db, budget())
    intake = Intake(db)
    first, second = used_by(1, 30), used_by(2, 12)
    await take(intake, first, second)

    taken = await take(intake, first, second)

    assert taken.budgets.uses == ()
    assert sum((await used(db)).values()) == 42


async def test_every_part_of_a_subject_must_match(db):
    await register(
        db,
        budget("bud_pair", Subject(team="team_1", endpoint="end_1")),
        budget("bud_key", Subject(key="key_1")),
        budget("bud_money", Subject(project="prj_1"), unit=Unit.COST),
    )

    await take(
        Intake(db),
        used_by(1, 1, endpoint_id="end_1", cost_nano=7),
        used_by(2, 10, endpoint_id="end_2", cost_nano=None),
        used_by(3, 100, endpoint_id="end_1", team="team_2", key_id="key_2", cost_nano=None),
    )

    totals = {id_: amount for (id_, _), amount in (await used(db)).items()}
    assert totals == {"bud_pair": 1, "bud_key": 11, "bud_money": 7}


@pytest.mark.parametrize(
    ("period", "start", "end"),
    [
        (Period.DAY, datetime(2026, 11, 25, tzinfo=UTC), datetime(2026, 11, 26, tzinfo=UTC)),
        (Period.WEEK, datetime(2026, 11, 23, tzinfo=UTC), datetime(2026, 11, 30, tzinfo=UTC)),
        (Period.MONTH, datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)),
    ],
)
def test_a_period_is_of_the_calendar(period, start, end):
    wednesday = to_ms(datetime(2026, 11, 25, 23, 59, 59, tzinfo=UTC))

    assert period.start_ms(wednesday) == to_ms(start)
    assert period.start_ms(to_ms(start)) == to_ms(start)
    assert period.end_ms(to_ms(start)) == to_ms(end)
    assert period.start_ms(to_ms(end)) == to_ms(end)


async def test_a_request_counts_in_the_period_in_which_it_came_in(db):
    """A gateway that was away ships yesterday's records today."""
    await register(db, budget())
    intake = Intake(db)

    await take(intake, used_by(1, 5), used_by(2, 7, time_ms=NOON + DAY))
    await take(intake, used_by(3, 100, time_ms=NOON - DAY))

    start = Period.DAY.start_ms(NOON)
    assert await used(db) == {("bud_1", start): 5, ("bud_1", start + DAY): 7}


async def test_what_was_used_before_a_budget_was_made_counts(db):
    intake = Intake(db)
    await take(
        intake,
        used_by(1, 30, time_ms=NOON - 3_600_000),
        used_by(2, 500, time_ms=NOON - DAY),
        used_by(3, 3, endpoint_id="end_1"),
        used_by(4, 1, key_id="key_0"),
    )

    await register(
        db,
        budget(),
        budget("bud_end", Subject(endpoint="end_1")),
        budget("bud_week", Subject(key="key_1"), period=Period.WEEK),
        key_1=["key_0"],
    )
    await take(intake, used_by(5, 1_000))

    totals = {id_: amount for (id_, _), amount in (await used(db)).items()}
    assert totals == {"bud_1": 1_034, "bud_end": 3, "bud_week": 1_034}


async def test_registering_again_adds_nothing(db):
    intake = Intake(db)
    await take(intake, used_by(1, 30))
    await register(db, budget())

    await register(db, budget(amount=20))

    assert sum((await used(db)).values()) == 30
    async with db.ledger_read() as ledger:
        ((use, level, told),) = await books.untold(ledger, 10)
    assert (use.used, level, told) == (30, Level.EXHAUSTED, Level.WITHIN)


async def test_a_level_is_reached_once(db):
    await register(db, budget(amount=100))
    intake = Intake(db)
    reached = []
    for sequence, tokens in enumerate((79, 1, 10, 10, 10), start=1):
        await take(intake, used_by(sequence, tokens))
        async with db.ledger_write() as ledger:
            for use, level, _ in await books.untold(ledger, 10):
                reached.append((use.used, level.name))
                await books.tell(ledger, use, level)

    assert reached == [(80, "WARNED"), (100, "EXHAUSTED")]


async def test_a_gateway_is_told_of_what_others_used_from_a_position_on(db):
    await register(db, budget(), budget("bud_2", Subject(project="prj_1")))
    intake = Intake(db)
    async with db.ledger_read() as ledger:
        first = await books.since(ledger, 0, gateway="gw_2")
    await take(intake, used_by(1, 5))

    async with db.ledger_read() as ledger:
        second = await books.since(ledger, first.position, gateway="gw_2")
        third = await books.since(ledger, second.position, gateway="gw_2")
        foreign = await books.since(ledger, second.position + 10**6, gateway="gw_2")

    assert [use.used for use in first.uses] == [0, 0]
    assert sorted((use.budget_id, use.used) for use in second.uses) == [("bud_1", 5), ("bud_2", 5)]
    assert second.as_of == {"gw_1": 1}
    assert (third.uses, third.position) == ((), second.position)
    assert len(foreign.uses) == 2


async def test_a_budget_that_is_gone_is_counted_no_more(db):
    await register(db, budget())
    intake = Intake(db)
    await take(intake, used_by(1, 5))
    async with db.ledger_write() as ledger:
        await books.unregister(ledger, ["bud_1"])

    taken = await take(intake, used_by(2, 5))

    assert taken.budgets.uses == ()
    assert await used(db) == {}


async def test_two_control_planes_and_a_new_budget_lose_nothing(db):
    """Whatever is stored at the same time is in the sums or counted, never both or neither."""
    await register(db, budget("bud_old"))
    planes = [Intake(db), Intake(db)]
    plans = [
        [[used_by(n * 10 + k, 1, gateway_id=f"gw_{plane}") for k in range(10)] for n in range(1, 9)]
        for plane in range(2)
    ]

    async def ship(intake, batches):
        for sent in batches:
            await take(intake, *sent)

    async def declare():
        for n in range(4):
            await register(db, budget(f"bud_{n}"))

    await asyncio.gather(*(ship(*pair) for pair in zip(planes, plans, strict=True)), declare())

    totals = {id_: amount for (id_, _), amount in (await used(db)).items()}
    assert totals == dict.fromkeys(["bud_old", "bud_0", "bud_1", "bud_2", "bud_3"], 160)


SUBJECTS = [
    Subject(team="team_1"),
    Subject(project="prj_1", endpoint="end_1"),
    Subject(key="key_1"),
    Subject(endpoint="end_2"),
]
calls = st.tuples(
    st.integers(1, 40),
    st.sampled_from(["key_1", "key_2"]),
    st.sampled_from(["end_1", "end_2", None]),
    st.sampled_from([0, DAY, 8 * DAY]),
    st.integers(0, 500),
)


@pytest.mark.timeout(180)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(batches=st.lists(st.lists(calls, max_size=10), max_size=6), made=st.integers(0, 6))
async def test_used_is_the_sum_over_distinct_records(db, batches, made):
    """Property: in any batches, with any repeats, whenever the budgets are made."""
    async with db.ledger_write() as ledger:
        for table in (records, hourly, *tables.positions.metadata.sorted_tables):
            await ledger.execute(table.delete())
    budgets = [
        budget(f"bud_{at}", subject, period=period, unit=unit)
        for at, (subject, period, unit) in enumerate(
            zip(
                SUBJECTS,
                (Period.DAY, Period.WEEK, Period.MONTH, Period.DAY),
                (Unit.TOKENS, Unit.COST, Unit.TOKENS, Unit.COST),
                strict=True,
            )
        )
    ]
    distinct: dict[int, dict[str, Any]] = {}
    intakes = [Intake(db), Intake(db)]
    for at, plan in enumerate([*batches, []]):
        if at == min(made, len(batches)):
            await register(db, *budgets)
        sent = []
        for number, key, endpoint, later, tokens in plan:
            made_up = used_by(
                number,
                tokens,
                key_id=key,
                endpoint_id=endpoint,
                time_ms=NOON + later,
                cost_nano=tokens * 3,
            )
            sent.append(distinct.setdefault(number, made_up))
        await take(intakes[at % 2], *sent)

    expected: Counter[tuple[str, int]] = Counter()
    for one in distinct.values():
        own = {
            "key": one["key_id"],
            "project": one["project"],
            "team": one["team"],
            "endpoint": one.get("endpoint_id"),
        }
        for rule in budgets:
            if rule.subject.given().items() <= own.items():
                amount = one["input_tokens"] if rule.unit is Unit.TOKENS else one["cost_nano"]
                expected[rule.id, rule.period.start_ms(one["time_ms"])] += amount
    assert await used(db) == {place: amount for place, amount in expected.items() if amount}
