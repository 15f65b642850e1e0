"""
When a sleeping model is usually asked: learned from when it was woken, a pure function.

It counts as usual what happened about this time on three of the last five days, or on three of the
last four days of this name. Who is woken for nothing is not woken for that again: what nobody used
is no habit.
"""

from collections.abc import Iterator, Sequence

from towpath_server.domains.deployments.models.scaling import Decision, Why

DAY_MS = 86_400_000
DAYS = (1, 2, 3, 4, 5)
WEEKS = (7, 14, 21, 28)
ENOUGH = 3
AROUND_MS = 10 * 60_000
"""How much earlier than now it may have been on the days before."""
AHEAD_MS = 5 * 60_000
"""And how much later, beside what waking takes: so much too early it is woken at the most."""
HOLD_MS = AROUND_MS + AHEAD_MS
"""How long it is kept for a call that is expected."""
KEPT_MS = WEEKS[-1] * DAY_MS + AROUND_MS
_AGAIN_MS = 60 * 60_000
_SLACK_MS = 30_000  # a decision comes with a look, not with the moment


def usual(decisions: Sequence[Decision], *, now: int, takes_ms: int, idle_ms: int) -> bool:
    """
    Tell whether a model that sleeps is usually asked about now.

    Args:
        decisions: Those of the last `KEPT_MS`, in any order.
        now: Time in milliseconds.
        takes_ms: How long waking takes.
        idle_ms: After how long without a call it goes to sleep.
    """
    ordered = sorted(decisions, key=lambda one: one.at_ms)
    if any(one.why is Why.HABIT and now - one.at_ms < _AGAIN_MS for one in ordered):
        return False
    asked = list(_asked(ordered, max(idle_ms, HOLD_MS)))

    def happened(days_ago: int) -> bool:
        then = now - days_ago * DAY_MS
        return any(then - AROUND_MS <= at <= then + AHEAD_MS + takes_ms for at in asked)

    return any(sum(map(happened, days)) >= ENOUGH for days in (DAYS, WEEKS))


def _asked(ordered: Sequence[Decision], held_ms: int) -> Iterator[int]:
    """Return when it was asked while it slept, or would have, had it not been woken before."""
    for number, one in enumerate(ordered):
        if one.why is Why.WOKEN:
            yield one.at_ms
        elif one.why is Why.HABIT:
            slept = next((other.at_ms for other in ordered[number:] if other.after == 0), None)
            if slept is not None and slept - one.at_ms > held_ms + _SLACK_MS:
                yield one.at_ms + AHEAD_MS
