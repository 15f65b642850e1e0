"""What is read of a manifest's `rollout`, and how it is judged: rules without a platform."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath_server.core import buckets
from towpath_server.domains.deployments import schemas
from towpath_server.domains.deployments.models.rollout import (
    Counts,
    Evidence,
    Limits,
    Plan,
    Rollout,
    Sides,
    Stage,
)
from towpath_server.domains.deployments.service.rollouts.decide import over


def read(rollout: Any) -> Any:
    spec = {"model": {"uri": "models:/a/1"}, "rollout": rollout}
    return schemas.read(
        {
            "apiVersion": "towpath.dev/v1alpha1",
            "kind": "ModelDeployment",
            "metadata": {"name": "a"},
            "spec": spec,
        }
    )


def test_a_whole_rollout_is_read() -> None:
    draft = read(
        {
            "maxSurge": "25%",
            "shadow": {"hold": "2m"},
            "steps": [{"weight": 10, "hold": "5m"}, {"weight": 50, "hold": "10m"}],
            "rollbackOn": {
                "errorRate": "> 1%",
                "p95Latency": "> 1.5s",
                "differences": "> 0.5%",
            },
            "minimumCalls": 50,
        }
    )

    assert draft.findings == ()
    assert draft.rollout == Plan(
        stages=(Stage(0, 120_000, 100), Stage(10, 300_000), Stage(50, 600_000)),
        limits=Limits(0.01, 1_500, 0.005),
        surge_percent=25,
        minimum_calls=50,
    )
    assert Plan.of(draft.rollout.document()) == draft.rollout


def test_without_a_word_on_limits_five_percent_may_fail() -> None:
    assert read({"steps": [{"weight": 10, "hold": "5m"}]}).rollout.limits == Limits(0.05)
    assert read({"rollbackOn": {"errorRate": None}}).rollout.limits == Limits(None)


@pytest.mark.parametrize(
    ("rollout", "path", "reason"),
    [
        ({"steps": [{"weight": 100, "hold": "1m"}]}, "steps/0/weight", "OutOfRange"),
        ({"steps": [{"weight": 10}]}, "steps/0/hold", "Missing"),
        ({"steps": [{"weight": 10, "hold": "soon"}]}, "steps/0/hold", "InvalidDuration"),
        (
            {"steps": [{"weight": 50, "hold": "1m"}, {"weight": 10, "hold": "1m"}]},
            "steps",
            "Contradiction",
        ),
        ({"maxSurge": 0}, "maxSurge", "OutOfRange"),
        ({"maxSurge": "some"}, "maxSurge", "OutOfRange"),
        ({"rollbackOn": {"errorRate": "1%"}}, "rollbackOn/errorRate", "InvalidLimit"),
        ({"rollbackOn": {"p95Latency": "> soon"}}, "rollbackOn/p95Latency", "InvalidDuration"),
        ({"rollbackOn": {"differences": "> 5%"}}, "rollbackOn", "Contradiction"),
        ({"canary": {}}, "canary", "UnknownField"),
    ],
)
def test_what_is_wrong_has_its_place_a_reason_and_a_fix(
    rollout: Any, path: str, reason: str
) -> None:
    (found,) = read(rollout).findings

    assert (found.path, found.reason) == (f"#/spec/rollout/{path}", reason)
    assert found.fix


PLAN = Plan(limits=Limits(0.01, 100.0, 0.05))
numbers = st.integers(0, 1_000)


@given(numbers, numbers, numbers)
def test_a_limit_is_passed_only_by_more_than_its_share_of_enough_calls(
    calls: int, failed: int, minimum: int
) -> None:
    failed = min(calls, failed)
    plan = Plan(limits=Limits(0.05), minimum_calls=max(1, minimum))

    found = over(plan, Evidence(Counts(calls=calls, failed=failed)), shadows=False)

    enough = calls >= plan.minimum_calls or (calls >= 5 and failed == calls)
    assert (found is not None) == (enough and calls > 0 and failed / calls > 0.05)


@given(numbers, numbers, numbers, numbers)
def test_as_many_refusals_as_the_serving_one_has_are_no_failure(
    calls: int, refused: int, more: int, failed: int
) -> None:
    calls, refused = max(calls, 1), min(calls, refused)
    mine = Counts(calls=calls, refused=refused, failed=failed)
    same = Counts(calls=calls * (more + 1), refused=refused * (more + 1))

    assert Evidence(mine, same).failures(shadows=False) == pytest.approx(failed)


@given(st.lists(st.tuples(st.integers(0, 50), st.booleans()), max_size=20))
def test_what_a_gateway_counts_is_added_up_over_its_starts(said: list[tuple[int, bool]]) -> None:
    """Each start is told from the numbers alone; what was counted before it is not lost."""
    total, now, last = Counts(), 0, Counts()
    counted = 0
    for more, anew in said:
        # A start shows where the number is smaller, and it is read before it has caught up.
        if anew and more < now:
            now = 0
        now, counted = now + more, counted + more
        word = Counts(calls=now, took={buckets.bucket(1_000): now} if now else {})
        total, last = total.plus(word.since(last)), word

    assert total.calls == counted == sum(total.took.values())
    assert Counts.of(total.document()) == total


sides = st.builds(
    Sides,
    size=st.integers(1, 12),
    stable_size=st.integers(1, 12),
    ready=st.integers(0, 12),
    stable_present=st.integers(0, 12),
    stable_ready=st.integers(0, 12),
)
surges = st.one_of(st.none(), st.integers(1, 12))
STEPS = (Stage(10, 0), Stage(60, 0))


def rolling(surge: int | None, step: int) -> Rollout:
    plan = Plan(STEPS, surge=surge)
    return Rollout("rol_1", 1, 0, 0, "dep_1", 2, plan, step=step, begun_at_ms=1)


@given(sides, surges, st.integers(0, 2))
def test_there_are_never_more_replicas_than_the_surge_allows(
    now: Sides, surge: int | None, step: int
) -> None:
    """Beyond what is ready already, and the one that it takes to begin."""
    found = rolling(surge, step)

    wanted = found.candidates(now)

    room = now.stable_size + found.plan.above(now.stable_size) - now.stable_present
    assert 1 <= wanted <= max(1, room, min(now.ready, now.size))
    assert 0 <= found.stable(now) <= now.stable_size
    assert found.stable(now) + now.ready >= min(now.stable_size, found.stable(now) + now.ready)


@given(st.integers(1, 12), surges)
def test_replicas_are_replaced_one_after_the_other_until_all_are(
    size: int, surge: int | None
) -> None:
    """Each new one is ready before an old one goes, and there is an end to it."""
    stable = size
    ready = 0
    for step in range(3):
        found = rolling(surge, step)
        for _ in range(4 * size):
            now = Sides(size, size, ready, stable, stable)
            most = size + found.plan.above(size)
            if found.candidates(now) > ready:
                ready += 1
            elif found.stable(now) < stable:
                stable -= 1
            assert ready + stable <= most
            assert ready + stable >= size
        assert ready >= found.aim(Sides(size, size, ready, stable, stable))
    assert ready == size
