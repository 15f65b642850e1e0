"""Time as a parameter, so that a test decides what time it is."""

from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Tells the time."""

    def now(self) -> datetime:
        """Return the time, aware and in UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the time, aware and in UTC."""
        return datetime.now(UTC)


class FixedClock:
    """A clock that stands still until it is advanced; for tests."""

    def __init__(self, at: datetime) -> None:
        if at.tzinfo is None:
            raise ValueError("a clock needs an aware time")
        self._at = at.astimezone(UTC)

    def now(self) -> datetime:
        """Return the time, aware and in UTC."""
        return self._at

    def advance(self, *, seconds: float) -> None:
        """Let time pass."""
        self._at += timedelta(seconds=seconds)


def to_ms(at: datetime) -> int:
    """Milliseconds since the epoch, as times are stored; exact, without passing through a float."""
    return (at - datetime.fromtimestamp(0, UTC)) // timedelta(milliseconds=1)


def from_ms(ms: int) -> datetime:
    """Return the time, aware and in UTC, that was stored as milliseconds."""
    return datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=ms)
