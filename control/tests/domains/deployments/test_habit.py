"""What is usually asked about a time is woken before it; what nobody used is not woken again."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath_server.domains.deployments.models.scaling import Decision, Metric, Why
from towpath_server.domains.deployments.service.scaling.habit import (
    AHEAD_MS,
    AROUND_MS,
    DAY_MS,
    HOLD_MS,
    usual,
)

NOW = 40 * DAY_MS
MINUTE_MS = 60_000
IDLE_MS = 5 * MINUTE_MS


def decided(at_ms: int, why: Why, after: int = 1) -> Decision:
    return Decision(
        id=f"scl_{at_ms}",
        deployment_id="dep_1",
        at_ms=at_ms,
        before=1 - after,
        after=after,
        why=why,
        metric=Metric.CONCURRENCY,
        target=2.0,
        value=0.0,
        stable=0.0,
        least=0,
        most=1,
        limited=None,
    )


def woken(*days_ago: int, off_ms: int = 0) -> list[Decision]:
    return [decided(NOW - days * DAY_MS + off_ms, Why.WOKEN) for days in days_ago]


def is_usual(decisions: Sequence[Decision], *, now: int = NOW) -> bool:
    return usual(decisions, now=now, takes_ms=1_000, idle_ms=IDLE_MS)


@pytest.mark.parametrize("days", [(1, 2, 3), (1, 3, 5), (7, 14, 21), (7, 21, 28)])
def test_three_of_the_last_days_make_a_habit(days: tuple[int, ...]) -> None:
    assert is_usual(woken(*days))


@pytest.mark.parametrize("days", [(), (1,), (1, 2), (1, 2, 6), (5, 7, 14), (6, 13, 20)])
def test_anything_less_does_not(days: tuple[int, ...]) -> None:
    assert not is_usual(woken(*days))


@given(off_ms=st.integers(-DAY_MS // 2, DAY_MS // 2))
def test_it_counts_what_was_about_this_time(off_ms: int) -> None:
    about = -AROUND_MS <= off_ms <= AHEAD_MS + 1_000

    assert is_usual(woken(1, 2, 3, off_ms=off_ms)) == about


def test_what_was_woken_for_it_and_used_goes_on_being_a_habit() -> None:
    early = -AHEAD_MS
    used = [
        one
        for days in (1, 2, 3)
        for one in (
            decided(NOW - days * DAY_MS + early, Why.HABIT),
            decided(NOW - days * DAY_MS + early + 2 * HOLD_MS, Why.IDLE, after=0),
        )
    ]

    assert is_usual(used, now=NOW + early)


def test_what_was_woken_for_nothing_is_no_habit() -> None:
    unused = [
        one
        for days in (1, 2, 3)
        for one in (
            decided(NOW - days * DAY_MS, Why.HABIT),
            decided(NOW - days * DAY_MS + HOLD_MS + 5_000, Why.IDLE, after=0),
        )
    ]

    assert not is_usual(unused)


def test_it_is_not_woken_twice_for_one_habit() -> None:
    lately = [decided(NOW - 20 * MINUTE_MS, Why.HABIT), decided(NOW - 60_000, Why.IDLE, after=0)]

    assert not is_usual([*woken(1, 2, 3), *lately])
