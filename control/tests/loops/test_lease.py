"""One instance runs the loops; another takes over within seconds."""

from collections.abc import Sequence

from towpath_server.core.clock import FixedClock
from towpath_server.core.db import Database
from towpath_server.loops.lease import TTL_S, Lease
from towpath_server.loops.reconcile import Kind, ReconcileLoop


async def test_only_one_instance_holds_the_lease(db: Database) -> None:
    first, second = Lease(db, "loops", "one"), Lease(db, "loops", "two")

    assert (await first.held(), await second.held(), await first.held()) == (True, False, True)


async def test_another_instance_takes_over_once_the_holder_is_silent(
    db: Database, clock: FixedClock
) -> None:
    first, second = Lease(db, "loops", "one"), Lease(db, "loops", "two")
    await first.held()

    clock.advance(seconds=TTL_S + 1)

    assert (await second.held(), await first.held()) == (True, False)


async def test_a_holder_that_renews_keeps_it(db: Database, clock: FixedClock) -> None:
    first, second = Lease(db, "loops", "one"), Lease(db, "loops", "two")
    for _ in range(5):
        assert await first.held()
        clock.advance(seconds=TTL_S / 2)

    assert not await second.held()


async def test_an_instance_that_restarts_goes_on_at_once(db: Database) -> None:
    await Lease(db, "loops", "one").held()

    assert await Lease(db, "loops", "one").held()


async def test_a_released_lease_is_free_at_once(db: Database) -> None:
    first, second = Lease(db, "loops", "one"), Lease(db, "loops", "two")
    await first.held()

    await first.release()

    assert await second.held()


class _Work:
    """A resource that needs some steps, and one that fails."""

    def __init__(self, steps: int) -> None:
        self.left = {"good": steps, "bad": 1}
        self.taken: list[str] = []

    async def pending(self) -> Sequence[str]:
        return ["bad", "good"]

    async def step(self, resource: str) -> bool:
        self.taken.append(resource)
        if resource == "bad":
            raise RuntimeError("broken on purpose")
        self.left[resource] -= 1
        return self.left[resource] >= 0


async def test_a_round_settles_everything_and_one_failure_stops_no_other(db: Database) -> None:
    work = _Work(steps=3)
    loop = ReconcileLoop(Lease(db, "loops", "one"), [Kind("thing", work.pending, work.step)])

    assert await loop.round()

    assert work.taken == ["bad", "good", "good", "good", "good"]


async def test_a_failed_resource_waits_before_it_is_tried_again(db: Database) -> None:
    work = _Work(steps=0)
    loop = ReconcileLoop(Lease(db, "loops", "one"), [Kind("thing", work.pending, work.step)])
    await loop.round()

    await loop.round()

    assert work.taken.count("bad") == 1
    assert work.taken.count("good") == 2


async def test_a_step_that_never_settles_is_bounded(db: Database) -> None:
    work = _Work(steps=10**9)
    loop = ReconcileLoop(Lease(db, "loops", "one"), [Kind("thing", work.pending, work.step)])

    await loop.round()

    assert work.taken.count("good") == 100


async def test_without_the_lease_nothing_is_touched(db: Database) -> None:
    work = _Work(steps=1)
    await Lease(db, "loops", "another").held()
    loop = ReconcileLoop(Lease(db, "loops", "one"), [Kind("thing", work.pending, work.step)])

    assert not await loop.round()

    assert work.taken == []
