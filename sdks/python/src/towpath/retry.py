"""
When a call is tried again, and after how long.

The rules are those of the OpenAI clients, so that the platform's headers mean the same to all.
Pure: time and randomness come in as arguments.
"""

import math
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import mktime_tz, parsedate_tz

MAX_RETRIES = 2
# A server's wish is honoured up to this; above it the caller is told instead of left waiting.
MAX_PAUSE_S = 120.0
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 8.0
# A pause is shortened by up to this share: callers that failed together return one by one.
JITTER = 0.25


@dataclass(frozen=True)
class Retry:
    """
    How often and when to try again.

    Attributes:
        limit: Further attempts after the first; 0 switches retries off.
        chance: Source of jitter, from 0 to 1.
        now: The wall clock in seconds, for `Retry-After` as a date.
    """

    limit: int = MAX_RETRIES
    chance: Callable[[], float] = random.random
    now: Callable[[], float] = time.time

    def __post_init__(self) -> None:
        if self.limit < 0:
            raise ValueError("max_retries must be 0 or more")

    def after_failure(self, done: int) -> float | None:
        """Return the pause after the connection failed, or none to give up."""
        return self._backoff(done) if done < self.limit else None

    def after_status(self, done: int, status: int, headers: Mapping[str, str]) -> float | None:
        """Return the pause after an error answer, or none to give up."""
        if done >= self.limit:
            return None
        wish = self._wish(headers)
        if wish is not None and wish > MAX_PAUSE_S:
            return None
        said = headers.get("x-should-retry")
        again = said == "true" or (said != "false" and (status in {408, 409, 429} or status >= 500))
        if not again:
            return None
        return wish if wish is not None and wish > 0 else self._backoff(done)

    def _backoff(self, done: int) -> float:
        pause = min(FIRST_PAUSE_S * 2.0 ** min(done, 10), LONGEST_PAUSE_S)
        return pause * (1 - JITTER * self.chance())

    def _wish(self, headers: Mapping[str, str]) -> float | None:
        for name, unit in (("retry-after-ms", 1000), ("retry-after", 1)):
            try:
                wish = float(headers[name]) / unit
            except (KeyError, ValueError):
                continue
            if math.isfinite(wish):
                return wish
        parsed = parsedate_tz(headers.get("retry-after", ""))
        if parsed is None:
            return None
        try:
            return mktime_tz(parsed) - self.now()
        except (ValueError, OverflowError):
            return None
