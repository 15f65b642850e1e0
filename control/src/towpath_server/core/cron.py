"""Stretches of time by the clock: from each time of a cron expression on, for a while."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

_FIELDS = 5  # minute, hour, day of the month, month, day of the week
_SOME_TIME = datetime(2000, 1, 1, tzinfo=UTC)


def readable(expression: str) -> bool:
    """Tell whether this is a cron expression of five fields that has a time to come."""
    try:
        return len(expression.split()) == _FIELDS and bool(next(CronSim(expression, _SOME_TIME)))
    except (CronSimError, StopIteration):
        return False


def known(timezone: str) -> bool:
    """Tell whether this is a time zone, by its name in the IANA database."""
    try:
        ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def covers(expression: str, now: datetime, *, for_ms: int, timezone: str = "UTC") -> bool:
    """Tell whether `now` is within so many milliseconds of a time of the expression."""
    local = now.astimezone(ZoneInfo(timezone))
    # The first time after the latest that could still hold: any other begins later.
    return next(CronSim(expression, local - timedelta(milliseconds=for_ms))) <= local
