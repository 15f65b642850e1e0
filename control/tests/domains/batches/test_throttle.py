"""How many calls of a batch are made at a time, as a function of what the gateway says."""

import asyncio

from towpath_server.domains.batches.reconcile.throttle import Throttle


class Time:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_it_takes_more_while_there_is_room_and_never_more_than_it_may() -> None:
    throttle = Throttle(4, Time())
    seen = [throttle.allowed]
    for _ in range(40):
        throttle.went_well()
        seen.append(throttle.allowed)

    assert (seen[0], seen[-1]) == (2, 4)
    assert seen == sorted(seen)


def test_refusals_halve_it_once_per_second_and_never_to_nothing() -> None:
    time = Time()
    throttle = Throttle(16, time)
    for _ in range(200):
        throttle.went_well()
    seen = []
    for at in (100.0, 100.5, 101.0, 102.0, 103.0, 104.0, 105.0):
        time.now = at
        throttle.no_room(0.0)
        seen.append(throttle.allowed)

    assert seen == [8, 8, 4, 2, 1, 1, 1]


def test_nobody_comes_back_before_the_time_that_was_named() -> None:
    time = Time()
    throttle = Throttle(4, time)
    throttle.no_room(30.0)
    throttle.no_room(2.0)
    time.now += 10

    assert throttle.pause() == 20.0


async def test_permits_are_as_many_as_are_allowed() -> None:
    throttle = Throttle(2, Time())
    await throttle.enter()
    await throttle.enter()
    third = asyncio.ensure_future(throttle.enter())
    await asyncio.sleep(0)
    waited = not third.done()
    throttle.leave()
    await third

    assert waited
