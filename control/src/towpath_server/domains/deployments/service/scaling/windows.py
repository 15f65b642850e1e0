"""
The load of one deployment over the last minute, from what the gateways say every second.

The two windows are those of Knative's autoscaler, where the short one is 6 s
(https://knative.dev/docs/serving/autoscaling/kpa-specific/): the gateways say here what waits, so
that two words are enough to believe a rise.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from towpath_server.domains.deployments.models.scaling import Demand, Metric

STABLE_MS = 60_000
PANIC_MS = 2_000
FRESH_MS = 3_000
"""Gateways speak every second of what is busy: what was said longer ago is over."""


@dataclass(frozen=True)
class Sample:
    """The load at one moment, at all gateways and replicas together."""

    at_ms: int
    value: float
    busy: bool


@dataclass
class Windows:
    """What is remembered of one deployment; it starts anew with each control plane."""

    since_ms: int
    busy_ms: int
    """When there was something to do last."""
    samples: deque[Sample] = field(default_factory=deque)
    panic_ms: int | None = None
    """When the load had last doubled within seconds; none: not within the stable window."""
    lowered_ms: int | None = None
    """When the number went down by load last."""
    _said: dict[str, tuple[Demand, float]] = field(default_factory=dict)

    def take(self, metric: Metric, demands: Sequence[Demand], now_ms: int) -> Sample:
        """Add what the gateways say now to what they said before."""
        value, busy = 0.0, False
        for said in demands:
            former, its = self._said.get(said.gateway, (None, 0.0))
            if former is None or said.at_ms != former.at_ms:
                its = _value(metric, said, former)
            self._said[said.gateway] = (said, its)
            if now_ms - said.at_ms <= FRESH_MS:
                value += its
                moved = former is not None and said.calls != former.calls
                busy = busy or moved or not said.quiet
        sample = Sample(now_ms, value, busy)
        if busy:
            self.busy_ms = now_ms
        self.samples.append(sample)
        while self.samples[0].at_ms <= now_ms - STABLE_MS:
            self.samples.popleft()
        return sample

    def short(self, now_ms: int) -> float:
        """Return the mean of the last seconds."""
        return self._mean(now_ms - PANIC_MS)

    def stable(self, now_ms: int) -> float:
        """Return the mean of the last minute."""
        return self._mean(now_ms - STABLE_MS)

    def known(self, now_ms: int) -> bool:
        """Whether a whole stable window was seen."""
        return now_ms - self.since_ms >= STABLE_MS

    def _mean(self, after_ms: int) -> float:
        found = [sample.value for sample in self.samples if sample.at_ms > after_ms]
        return sum(found) / len(found) if found else 0.0


def _value(metric: Metric, said: Demand, former: Demand | None) -> float:
    if metric is Metric.QUEUE:
        return said.queued
    if metric is Metric.TOKENS:
        return said.tokens
    seconds = (said.at_ms - former.at_ms) / 1000 if former is not None else 0.0
    counted = former is not None and seconds > 0 and said.calls >= former.calls
    if metric is Metric.RPS:
        return (said.calls - former.calls) / seconds if counted and former is not None else 0.0
    now = float(said.in_flight + said.queued)
    if not counted or former is None:
        return now
    # Little's law: short calls come and go between two words.
    ended = max(0, said.busy_ms - former.busy_ms) / 1000 / seconds
    return max(now, ended + said.queued)
