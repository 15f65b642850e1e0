"""
What the gateways said last: where limits and budgets stand, and how targets are.

Kept in memory alone: losing it costs a second, since gateways repeat themselves. Each control plane
knows the gateways that are connected to it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

# More gateways than any installation has, and more rules than one of them says within a second;
# what was said longest ago makes room.
_MAX_GATEWAYS = 1_000
_MAX_RULES = 100_000
_MAX_REPLICAS = 256  # the gateway's own bound


@dataclass(frozen=True)
class LimitReport:
    """Where one limit stands at one gateway."""

    gateway: str
    at_ms: int
    in_flight: int
    requests_left: int | None
    tokens_left: int | None
    refused: int
    """Calls it refused, for as long as this control plane has listened."""


@dataclass(frozen=True)
class BudgetReport:
    """Where one budget stands at one gateway, beyond what the ledger knows."""

    gateway: str
    at_ms: int
    reserved: int
    unshipped: int
    refused: int


@dataclass(frozen=True)
class ReplicaReport:
    """How one replica is, as one gateway meets it."""

    breaker: Literal["closed", "open", "half_open"]
    """`closed`, `open` (it gets no calls) or `half_open` (it gets one, to see)."""
    in_flight: int
    failures: int
    """In a row."""
    latency_ms: float | None = None
    last_error: str | None = None
    last_error_at_ms: int | None = None
    ejected_until_ms: int | None = None

    @property
    def ejected(self) -> bool:
        """Whether it gets no calls now."""
        return self.breaker != "closed" or self.ejected_until_ms is not None


@dataclass(frozen=True)
class ShadowReport:
    """What copies of calls met at a candidate, since the gateway knows it."""

    calls: int
    failed: int
    compared: int
    different: int
    skipped: int
    """Copies that were not made: too many were under way, or the call was too large."""
    took: Mapping[int, int] = field(default_factory=dict)
    """Copies that were answered, by the bucket of their duration."""
    paths: Mapping[str, int] = field(default_factory=dict)
    """Where answers differed, as JSON paths, by how many did."""


@dataclass(frozen=True)
class TargetReport:
    """How one target is, as one gateway meets it."""

    gateway: str
    at_ms: int
    in_flight: int
    queued: int
    waiting_for_wake: bool
    replicas: Mapping[str, ReplicaReport]
    calls: int = 0
    """Calls that its replicas got since the gateway knows it."""
    busy_ms: int = 0
    """Durations of those that ended, added up."""
    tokens: int = 0
    """Estimated tokens of the calls in flight."""
    failed: int = 0
    """Attempts that it failed since the gateway knows it, whoever answered in the end."""
    refused: int = 0
    """Attempts that it answered with a 4xx other than 429."""
    took: Mapping[int, int] = field(default_factory=dict)
    """Attempts that it answered, by the bucket of their duration; of those in a rollout."""
    shadow: ShadowReport | None = None

    def quiet(self) -> "TargetReport":
        """Return what it means that a gateway no longer mentions it: idle, and nothing wrong."""
        well = {
            id_: replace(one, breaker="closed", in_flight=0, failures=0, ejected_until_ms=None)
            for id_, one in self.replicas.items()
        }
        return replace(self, in_flight=0, queued=0, tokens=0, waiting_for_wake=False, replicas=well)


@dataclass
class _Said:
    """One gateway's words."""

    at_ms: int = 0
    targets: dict[str, TargetReport] = field(default_factory=dict)
    limits: dict[str, LimitReport] = field(default_factory=dict)
    budgets: dict[str, BudgetReport] = field(default_factory=dict)


class Board:
    """The latest reports of all gateways."""

    def __init__(self) -> None:
        self._said: dict[str, _Said] = {}

    def take(
        self,
        gateway: str,
        at_ms: int,
        *,
        targets: Iterable[tuple[str, TargetReport]] = (),
        limits: Iterable[tuple[str, LimitReport]] = (),
        budgets: Iterable[tuple[str, BudgetReport]] = (),
    ) -> None:
        """Note what a gateway says; refusals since it last did so are added up."""
        said = self._said.pop(gateway, None) or _Said()
        while len(self._said) >= _MAX_GATEWAYS:
            del self._said[next(iter(self._said))]
        self._said[gateway] = said
        said.at_ms = at_ms
        for id_, found in targets:
            former = said.targets.pop(id_, None)
            said.targets[id_] = _with_former(found, former)
        for id_, report in limits:
            former = said.limits.pop(id_, None)
            said.limits[id_] = replace(report, refused=report.refused + _refused(former))
        for id_, report in budgets:
            former = said.budgets.pop(id_, None)
            said.budgets[id_] = replace(report, refused=report.refused + _refused(former))
        _bound(said.targets)
        _bound(said.limits)
        _bound(said.budgets)

    def gateways(self) -> Mapping[str, int]:
        """Return when each gateway spoke last, in milliseconds."""
        return {name: said.at_ms for name, said in self._said.items()}

    def target(self, id_: str) -> Sequence[TargetReport]:
        """Return each gateway's latest word on a target; see `limit`."""
        found = []
        for said in self._said.values():
            report = said.targets.get(id_)
            if report is not None:
                found.append(report.quiet() if report.at_ms < said.at_ms else report)
        return found

    def limit(self, id_: str) -> Sequence[LimitReport]:
        """
        Return each gateway's latest word on a limit.

        Gateways speak of what was used since they last spoke: in what they no longer mention,
        nothing is in flight.
        """
        found = []
        for said in self._said.values():
            report = said.limits.get(id_)
            if report is not None:
                quiet = report.at_ms < said.at_ms
                found.append(replace(report, in_flight=0) if quiet else report)
        return found

    def budget(self, id_: str) -> Sequence[BudgetReport]:
        """Return each gateway's latest word on a budget; see `limit`."""
        found = []
        for said in self._said.values():
            report = said.budgets.get(id_)
            if report is not None:
                quiet = report.at_ms < said.at_ms
                found.append(replace(report, reserved=0, unshipped=0) if quiet else report)
        return found


def _with_former(report: TargetReport, former: TargetReport | None) -> TargetReport:
    """Keep what was said before of replicas that are not mentioned now: they are well and idle."""
    if former is None:
        return report
    rest = {id_: one for id_, one in former.quiet().replicas.items() if id_ not in report.replicas}
    kept = list(rest.items())[: max(0, _MAX_REPLICAS - len(report.replicas))]
    return replace(report, replicas={**dict(kept), **report.replicas})


def _refused(former: LimitReport | BudgetReport | None) -> int:
    return former.refused if former is not None else 0


def _bound(
    reports: dict[str, TargetReport] | dict[str, LimitReport] | dict[str, BudgetReport],
) -> None:
    while len(reports) > _MAX_RULES:
        del reports[next(iter(reports))]
