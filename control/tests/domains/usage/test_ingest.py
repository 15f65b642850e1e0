"""The ledger: every record once, and sums that are exactly those of the records."""

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from records import batch, record
from sqlalchemy import func, select

from towpath_server.domains.usage import tables
from towpath_server.domains.usage.errors import SequenceReused
from towpath_server.gatewaylink.schemas import UsageBatch
from towpath_server.gatewaylink.usage import Intake


async def take(db, *records) -> int:
    return (await Intake(db).take(UsageBatch.model_validate(batch(*records)))).acknowledged


async def sums(db) -> Counter:
    async with db.ledger_read() as tx:
        rows = await tx.execute(select(tables.hourly))
        total: Counter = Counter()
        for row in rows:
            for name in ("requests", "errors", "refused", "input_tokens", "cost_nano"):
                total[name] += row._mapping[name]
        return total


async def stored(db) -> int:
    async with db.ledger_read() as tx:
        return (await tx.execute(select(func.count()).select_from(tables.records))).scalar_one()


async def test_a_batch_is_acknowledged_up_to_its_last_sequence(db):
    assert await take(db, record(3), record(4)) == 4
    assert await stored(db) == 2


async def test_a_record_that_is_sent_again_changes_nothing(db):
    first, second, third = record(1), record(2), record(3)
    await take(db, first, second)

    assert await take(db, first, second, third) == 3

    assert await stored(db) == 3
    assert (await sums(db))["requests"] == 3


async def test_a_record_twice_in_one_batch_counts_once(db):
    one = record(1)

    await take(db, one, one)

    assert (await sums(db))["requests"] == 1


async def test_a_reused_number_is_refused_and_nothing_of_its_batch_is_stored(db):
    """A gateway whose folder was restored counts again; storing nothing would lose its records."""
    await take(db, record(1))

    with pytest.raises(SequenceReused, match="record number 1"):
        await take(db, record(1), record(2))

    assert await stored(db) == 1
    assert (await sums(db))["requests"] == 1


async def test_merged_refusals_count_for_all_they_stand_for(db):
    await take(db, record(1, ended="refused", status=429, count=250, cost_nano=None))

    assert await sums(db) == Counter(
        requests=250, refused=250, errors=0, input_tokens=38, cost_nano=0
    )


async def test_names_that_callers_made_up_do_not_fill_the_sums(db):
    """Whoever asks for a million unknown models must not make a million rows."""
    await take(
        db,
        *(
            record(n, endpoint=f"x{n}", status=404, ended="refused", model=None)
            for n in range(1, 50)
        ),
    )

    async with db.ledger_read() as tx:
        rows = (await tx.execute(select(tables.hourly))).all()
    assert len(rows) == 1
    assert rows[0].requests == 49


async def test_an_endless_name_and_a_nul_fit_the_columns_and_stay_whole_in_the_record(db):
    name = "a\0" + "b" * 5_000

    await take(db, record(1, endpoint=name))

    async with db.ledger_read() as tx:
        row = (await tx.execute(select(tables.records))).one()
    assert row.endpoint == "a" + "b" * 254
    assert "\\u0000" in row.document


async def test_fields_of_a_newer_gateway_are_kept(db):
    await take(db, record(1, thinking_ms=12))

    async with db.ledger_read() as tx:
        row = (await tx.execute(select(tables.records))).one()
    assert '"thinking_ms":12' in row.document


async def test_a_full_batch_fits_one_transaction(db):
    assert await take(db, *(record(n) for n in range(1, 1001))) == 1000
    assert (await sums(db))["requests"] == 1000


numbers = st.integers(1, 30)


@pytest.mark.timeout(180)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(batches=st.lists(st.lists(numbers, max_size=12), max_size=8))
async def test_sums_equal_the_records_whatever_is_repeated(db, batches):
    """Property: shipping in any order, with any repeats, adds each record exactly once."""
    async with db.ledger_write() as tx:
        await tx.execute(tables.records.delete())
        await tx.execute(tables.hourly.delete())
    every = {n: record(n, input_tokens=n, time_ms=n * 1_800_000) for n in range(1, 31)}

    for numbers_of_batch in batches:
        await take(db, *(every[n] for n in numbers_of_batch))

    sent = {n for numbers_of_batch in batches for n in numbers_of_batch}
    assert (await sums(db))["requests"] == len(sent)
    assert (await sums(db))["input_tokens"] == sum(sent)
