"""
How many calls of a batch are made at a time: as many as there is room for.

More by one whenever as many calls as are allowed went well, half as many when the gateway says that
there is no room, and none until the time that it named. So a batch takes what others leave.
"""

import asyncio
from collections.abc import Callable

_START = 2  # calls at first: enough to see whether there is room
# Further refusals within this long of one are the same news.
_SAME_NEWS_S = 1.0


class Throttle:
    """Permits of one batch."""

    def __init__(self, most: int, now: Callable[[], float]) -> None:
        self._most = most
        self._now = now
        self._allowed = float(min(_START, most))
        self._in_flight = 0
        self._closed_until = 0.0
        self._cut_at = -_SAME_NEWS_S
        self._changed = asyncio.Event()

    @property
    def allowed(self) -> int:
        """How many calls may be in flight now."""
        return int(self._allowed)

    def pause(self) -> float:
        """Return for how many seconds no call may be made."""
        return max(0.0, self._closed_until - self._now())

    async def enter(self) -> None:
        """Wait for a permit; give it back with `leave`."""
        while True:
            self._changed.clear()
            pause = self.pause()
            if pause == 0 and self._in_flight < self.allowed:
                self._in_flight += 1
                return
            try:
                async with asyncio.timeout(pause or None):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def leave(self) -> None:
        """Give a permit back."""
        self._in_flight -= 1
        self._changed.set()

    def went_well(self) -> None:
        """Note that there was room."""
        self._allowed = min(float(self._most), self._allowed + 1 / self._allowed)
        self._changed.set()

    def no_room(self, wait_s: float) -> None:
        """Note that there was none, and when to come back."""
        now = self._now()
        if now - self._cut_at >= _SAME_NEWS_S:
            self._allowed = max(1.0, self._allowed / 2)
            self._cut_at = now
        self._closed_until = max(self._closed_until, now + wait_s)
        self._changed.set()
