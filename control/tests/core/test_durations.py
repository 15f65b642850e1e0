"""Durations as people write them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from towpath_server.core.durations import PATTERN, from_ms, to_ms


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("250ms", 250),
        ("1.5s", 1_500),
        ("5m", 300_000),
        ("1m30s", 90_000),
        ("1h0m1s1ms", 3_601_001),
        ("2d", 172_800_000),
        ("0s", 0),
    ],
)
def test_a_duration_is_read_exactly(text: str, value: int) -> None:
    assert to_ms(text) == value


@pytest.mark.parametrize(
    "text", ["", "10", "s", "-1s", "1 s", "30s1m", "1s1s", "1e3s", "0.5ms", "1S", "\u0661s", "1s\n"]
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be"):
        to_ms(text)


@given(st.integers(0, 10**12))
def test_writing_and_reading_a_duration_returns_it(value: int) -> None:
    assert to_ms(from_ms(value)) == value
    assert re.fullmatch(PATTERN, from_ms(value))
