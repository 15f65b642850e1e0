"""The routing revision, on both engines."""

import asyncio

import pytest

from towpath_server.core import revision
from towpath_server.core.clock import FixedClock, to_ms
from towpath_server.core.db import Database
from towpath_server.core.errors import RevisionConflict
from towpath_server.core.revision import Change


async def test_the_first_revision_is_the_time(db: Database, clock: FixedClock) -> None:
    async with db.read() as tx:
        before = await revision.current(tx)
    async with db.write() as tx:
        first = await revision.bump(tx, "team", "a")

    assert (before, first) == (0, to_ms(clock.now()))


async def test_bumps_of_one_transaction_share_a_revision(db: Database) -> None:
    async with db.write() as tx:
        one = await revision.bump(tx, "team", "a")
        await revision.bump(tx, "team", "a")
        await revision.bump(tx, "key", "k")
    async with db.write() as tx:
        two = await revision.bump(tx, "team", "a")

    async with db.read() as tx:
        changes = await revision.since(tx, 0, 10)

    assert changes == [
        Change(one, "key", "k"),
        Change(one, "team", "a"),
        Change(two, "team", "a"),
    ]
    assert two == one + 1


async def test_revisions_become_visible_in_order(db: Database) -> None:
    """Who has read up to N never misses a change at or below N that commits later."""
    seen: list[int] = []

    async def write(number: int) -> None:
        async with db.write() as tx:
            await revision.bump(tx, "team", f"t{number}")

    async def read() -> None:
        for _ in range(20):
            async with db.read() as tx:
                found = await revision.since(tx, 0, 1_000)
                current = await revision.current(tx)
            numbers = [change.revision for change in found]
            if numbers:
                assert numbers == list(range(numbers[0], current + 1))
                seen.append(current)

    await asyncio.gather(read(), *(write(number) for number in range(20)))

    assert seen == sorted(seen)


async def test_revocations_are_a_lane_of_their_own(db: Database) -> None:
    for number in range(3):
        async with db.write() as tx:
            await revision.revoke(tx, f"key_{number}", "0" * 64)

    async with db.read() as tx:
        every = await revision.revocations(tx, 0, 10)
        rest = await revision.revocations(tx, every[0].seq, 1)
        last = await revision.revocations_to(tx)

    assert [entry.key_id for entry in every] == ["key_0", "key_1", "key_2"]
    assert [entry.key_id for entry in rest] == ["key_1"]
    assert last == every[-1].seq


async def test_what_is_forgotten_raises_the_oldest(db: Database) -> None:
    for number in range(3):
        async with db.write() as tx:
            last = await revision.bump(tx, "team", f"t{number}")

    async with db.write() as tx:
        await revision.forget(tx, before=last)
        oldest = await revision.oldest(tx)

    assert oldest == last


def test_if_match_must_name_the_current_revision() -> None:
    revision.match(None, 3)
    revision.match(3, 3)
    with pytest.raises(RevisionConflict):
        revision.match(2, 3)
