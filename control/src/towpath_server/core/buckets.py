"""
Durations as gateways count them: by buckets, 16 in each power of two of microseconds.

The gateway's crate `wire` has the same two functions; `contracts/durations.json` holds both to the
same values.
"""

from collections.abc import Mapping

_FINE = 4  # buckets in one power of two, as a power of two
_LONGEST_US = 2**64 - 1


def bucket(us: int) -> int:
    """Return the bucket of a duration in microseconds."""
    if us < 1 << _FINE:
        return us
    shift = us.bit_length() - 1 - _FINE
    return (shift << _FINE) + (us >> shift)


def upper_us(number: int) -> int:
    """Return the longest duration of a bucket, in microseconds."""
    shift = max(0, (number >> _FINE) - 1)
    return min(_LONGEST_US, (((number - (shift << _FINE)) + 1) << shift) - 1)


def quantile_ms(took: Mapping[int, int], part: float) -> float | None:
    """
    Return a quantile of counted durations in milliseconds, by nearest rank.

    It is the upper end of its bucket, so at most some 6 % more than it was; none: nothing counted.
    """
    total = sum(took.values())
    seen = 0
    for number in sorted(took):
        seen += took[number]
        if total and seen >= part * total:
            return upper_us(number) / 1000
    return None
