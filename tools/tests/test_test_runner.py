"""The runner's count is what the suites said."""

import importlib.util
import sys
from pathlib import Path

import pytest

spec = importlib.util.spec_from_file_location("runner", Path(__file__).parents[1] / "test.py")
assert spec is not None
assert spec.loader is not None
runner = importlib.util.module_from_spec(spec)
sys.modules["runner"] = runner
spec.loader.exec_module(runner)

TWO_CRATES = """
test result: ok. 4 passed; 0 failed; 1 ignored; 0 measured
test result: FAILED. 2 passed; 1 failed; 0 ignored; 0 measured
"""


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("12 passed in 3.21s", (12, 0, 0)),
        ("2 failed, 10 passed, 1 skipped in 3.21s", (10, 2, 1)),
        ("===== 1 failed, 2 errors in 0.10s =====", (0, 3, 0)),
        ("3 passed, 1 warning in 61.00s (0:01:01)", (3, 0, 0)),
        (TWO_CRATES, (6, 1, 1)),
        ("no tests here", (0, 0, 0)),
    ],
)
def test_counts_are_read_from_the_closing_lines(text: str, counts: tuple[int, int, int]) -> None:
    assert runner.count(text) == counts


def test_every_suite_has_a_lane_that_runs() -> None:
    assert {suite.lane for suite in runner.suites()} == {one for row in runner.LANES for one in row}
