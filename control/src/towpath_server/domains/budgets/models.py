"""Budgets, and what the ledger knows of their use."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field

from towpath_server.core import clock
from towpath_server.domains.limits.models import Owner, Setter, Subject

_DAY_MS = 86_400_000
_EPOCH_WEEKDAY = 3  # 1970-01-01 was a Thursday; weeks begin on Monday


class Period(enum.StrEnum):
    """A calendar period in UTC."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"

    def start_ms(self, time_ms: int) -> int:
        """Return when the period of this time began."""
        day = time_ms // _DAY_MS
        if self is Period.WEEK:
            day -= (day + _EPOCH_WEEKDAY) % 7
        elif self is Period.MONTH:
            day -= clock.from_ms(day * _DAY_MS).day - 1
        return day * _DAY_MS

    def end_ms(self, start_ms: int) -> int:
        """Return when the period that began then ends."""
        if self is Period.MONTH:
            return self.start_ms(start_ms + 31 * _DAY_MS)
        return start_ms + _DAY_MS * (7 if self is Period.WEEK else 1)


class Mode(enum.StrEnum):
    """What happens when a budget is used up."""

    SOFT = "soft"
    HARD = "hard"


class Unit(enum.StrEnum):
    """What is counted."""

    TOKENS = "tokens"
    COST = "cost"
    """Nano-units of the organisation's currency."""


class Level(enum.IntEnum):
    """How far a budget is used, where somebody is told."""

    WITHIN = 0
    WARNED = 1
    EXHAUSTED = 2


@dataclass(frozen=True)
class BudgetDraft:
    """A budget as it is declared."""

    unit: Unit
    amount: int
    period: Period
    mode: Mode
    warn_percent: int


@dataclass(frozen=True)
class Budget:
    """How much a subject may use in each period."""

    id: str
    revision: int
    created_at_ms: int
    updated_at_ms: int
    subject: Subject
    owner: Owner
    set_by: Setter
    unit: Unit
    amount: int
    period: Period
    mode: Mode
    warn_percent: int
    label: str = field(default="", compare=False)
    """The subject in words, as it is called now."""


@dataclass(frozen=True)
class Definition:
    """What the ledger must know to count towards a budget."""

    id: str
    subject: Subject
    unit: Unit
    period: Period
    amount: int
    warn_percent: int
    counts_from_ms: int
    """Start of the first period that is counted."""

    def level(self, used: int) -> Level:
        """Tell how far it is used."""
        if used >= self.amount:
            return Level.EXHAUSTED
        return Level.WARNED if used * 100 >= self.amount * self.warn_percent else Level.WITHIN


@dataclass(frozen=True)
class Use:
    """What was used of one budget in one period, as the ledger knows it."""

    budget_id: str
    period_start_ms: int
    used: int


@dataclass(frozen=True)
class News:
    """Uses that changed, up to a position, and the records that they contain."""

    uses: tuple[Use, ...] = ()
    position: int = 0
    as_of: Mapping[str, int] = field(default_factory=dict)
    """Highest sequence of each gateway that is contained."""


@dataclass(frozen=True)
class BudgetState:
    """Where a budget stands in its current period."""

    budget: Budget
    period_start_ms: int
    period_end_ms: int
    used: int
    as_of: Mapping[str, int]
