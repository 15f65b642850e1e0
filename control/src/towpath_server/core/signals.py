"""
What the gateways said last of what they count: where limits and budgets stand.

Kept in memory alone: losing it costs a second, since gateways repeat themselves. Each control plane
knows the gateways that are connected to it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

# More gateways than any installation has, and more rules than one of them says within a second;
# what was said longest ago makes room.
_MAX_GATEWAYS = 1_000
_MAX_RULES = 100_000


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


@dataclass
class _Said:
    """One gateway's words."""

    at_ms: int = 0
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
        limits: Iterable[tuple[str, LimitReport]] = (),
        budgets: Iterable[tuple[str, BudgetReport]] = (),
    ) -> None:
        """Note what a gateway says; refusals since it last did so are added up."""
        said = self._said.pop(gateway, None) or _Said()
        while len(self._said) >= _MAX_GATEWAYS:
            del self._said[next(iter(self._said))]
        self._said[gateway] = said
        said.at_ms = at_ms
        for id_, report in limits:
            former = said.limits.pop(id_, None)
            said.limits[id_] = replace(report, refused=report.refused + _refused(former))
        for id_, report in budgets:
            former = said.budgets.pop(id_, None)
            said.budgets[id_] = replace(report, refused=report.refused + _refused(former))
        _bound(said.limits)
        _bound(said.budgets)

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


def _refused(former: LimitReport | BudgetReport | None) -> int:
    return former.refused if former is not None else 0


def _bound(reports: dict[str, LimitReport] | dict[str, BudgetReport]) -> None:
    while len(reports) > _MAX_RULES:
        del reports[next(iter(reports))]
