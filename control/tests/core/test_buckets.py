import json
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from towpath_server.core import buckets

CONTRACT = Path(__file__).parents[3] / "contracts" / "durations.json"


def test_both_planes_count_durations_by_the_same_buckets() -> None:
    known = json.loads(CONTRACT.read_text())

    assert len(known) > 100
    for one in known:
        assert buckets.bucket(one["us"]) == one["bucket"], one
        assert buckets.upper_us(one["bucket"]) == one["upper_us"], one


@given(st.integers(0, 2**64 - 1))
def test_a_duration_is_at_most_the_upper_end_of_its_bucket(us: int) -> None:
    number = buckets.bucket(us)

    assert us <= buckets.upper_us(number)
    assert number == 0 or buckets.upper_us(number - 1) < us


@given(st.lists(st.integers(1_000, 10**9), min_size=1))
def test_a_quantile_is_within_a_sixteenth_of_the_nearest_rank(values: list[int]) -> None:
    took: dict[int, int] = {}
    for us in values:
        took[buckets.bucket(us)] = took.get(buckets.bucket(us), 0) + 1
    exact = sorted(values)[max(0, -(-len(values) * 95 // 100) - 1)] / 1000

    found = buckets.quantile_ms(took, 0.95)

    assert found is not None
    assert exact <= found <= exact * 17 / 16
