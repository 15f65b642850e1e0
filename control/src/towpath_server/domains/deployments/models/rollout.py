"""
How a newer revision takes over step by step: what is declared, where it stands, what was counted.

Everything here is a value and pure: the loop and the routing table ask the same questions of it.
"""

import enum
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from towpath_server.core import buckets
from towpath_server.core.signals import TargetReport

MINIMUM_CALLS = 20
"""Below it nothing is judged by shares: a 95th percentile is the slowest of 20 calls."""
ERROR_RATE = 0.05
"""Where steps are declared and no limit is."""
MAX_PATHS = 16


@dataclass(frozen=True)
class Limits:
    """Above which a revision is rolled back; none: it is not looked at."""

    error_rate: float | None = ERROR_RATE
    """Part of the calls that failed, and of those that it refuses beyond the serving one's."""
    p95_ms: float | None = None
    differences: float | None = None
    """Part of the answers to copies that differ from what the caller got."""


@dataclass(frozen=True)
class Stage:
    """One step: who is answered by the newer revision, and for how long that is watched."""

    percent: int
    hold_ms: int
    shadow_percent: int = 0
    """Of the calls that are copied; then no caller is answered by it."""

    @property
    def shadows(self) -> bool:
        """Whether calls are only copied."""
        return self.percent == 0


@dataclass(frozen=True)
class Plan:
    """What a manifest says under `rollout`."""

    stages: tuple[Stage, ...] = ()
    limits: Limits = field(default_factory=Limits)
    surge: int | None = None
    """Replicas above the wanted number meanwhile; none: `surge_percent` of that number."""
    surge_percent: int = 100
    minimum_calls: int = MINIMUM_CALLS

    def above(self, size: int) -> int:
        """Return how many replicas above `size` there may be: one at least."""
        if self.surge is not None:
            return max(1, self.surge)
        return max(1, math.ceil(size * self.surge_percent / 100))

    def document(self) -> dict[str, Any]:
        """Write it, as it is stored."""
        return asdict(self)

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> "Plan":
        """Read what `document` wrote."""
        fields: dict[str, Any] = dict(stored)
        fields["stages"] = tuple(Stage(**one) for one in stored["stages"])
        fields["limits"] = Limits(**stored["limits"])
        return cls(**fields)


@dataclass(frozen=True)
class Counts:
    """What gateways counted of one target; every number only grows."""

    calls: int = 0
    failed: int = 0
    refused: int = 0
    took: Mapping[int, int] = field(default_factory=dict)
    shadow_calls: int = 0
    shadow_failed: int = 0
    compared: int = 0
    different: int = 0
    skipped: int = 0
    shadow_took: Mapping[int, int] = field(default_factory=dict)
    paths: Mapping[str, int] = field(default_factory=dict)

    def plus(self, other: "Counts") -> "Counts":
        """Add two up."""
        return self._with(other, 1)

    def since(self, former: "Counts") -> "Counts":
        """Return what came after `former`; where a number is smaller, all of it is new."""
        if any(now < before for now, before in zip(self.sums, former.sums, strict=True)):
            return self
        return self._with(former, -1)

    @property
    def sums(self) -> tuple[int, ...]:
        """Everything that was counted, as numbers that only grow."""
        plain = (self.calls, self.failed, self.refused, sum(self.took.values()))
        return (*plain, self.shadow_calls, self.compared, self.different, self.skipped)

    def _with(self, other: "Counts", sign: int) -> "Counts":
        made: dict[str, Any] = {}
        for name, value in vars(self).items():
            its = getattr(other, name)
            if isinstance(value, int):
                made[name] = max(0, value + sign * its)
                continue
            keys = [*value, *(key for key in its if key not in value)]
            if name == "paths":
                keys = keys[:MAX_PATHS]
            both = {key: max(0, value.get(key, 0) + sign * its.get(key, 0)) for key in keys}
            made[name] = {key: count for key, count in both.items() if count}
        return Counts(**made)

    def document(self) -> dict[str, Any]:
        """Write it, as it is stored; keys of JSON are text."""
        return {name: value for name, value in asdict(self).items() if value}

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> "Counts":
        """Read what `document` wrote."""
        fields: dict[str, Any] = dict(stored)
        for name in ("took", "shadow_took"):
            fields[name] = {int(key): count for key, count in stored.get(name, {}).items()}
        return cls(**fields)

    @classmethod
    def said(cls, report: TargetReport) -> "Counts":
        """Read a gateway's word."""
        shadow = report.shadow
        copies: dict[str, Any] = {}
        if shadow is not None:
            copies = {
                "shadow_calls": shadow.calls,
                "shadow_failed": shadow.failed,
                "compared": shadow.compared,
                "different": shadow.different,
                "skipped": shadow.skipped,
                "shadow_took": dict(shadow.took),
                "paths": dict(shadow.paths),
            }
        return cls(report.calls, report.failed, report.refused, dict(report.took), **copies)


@dataclass(frozen=True)
class Evidence:
    """What was counted of both revisions in the same stretch of time."""

    candidate: Counts = field(default_factory=Counts)
    stable: Counts = field(default_factory=Counts)

    def since(self, former: "Evidence") -> "Evidence":
        """Return what came after `former`."""
        return Evidence(self.candidate.since(former.candidate), self.stable.since(former.stable))

    def calls(self, *, shadows: bool) -> int:
        """Return how many calls there are to judge by."""
        return self.candidate.shadow_calls if shadows else self.candidate.calls

    def failures(self, *, shadows: bool) -> float:
        """
        Return how many calls failed.

        What it refuses counts beyond the serving one's share: callers' own mistakes are no fault.
        """
        mine, other = self.candidate, self.stable
        usual = other.refused / other.calls if other.calls else 0.0
        if shadows:  # a copy that is refused counts as failed there
            return max(0.0, mine.shadow_failed - usual * mine.shadow_calls)
        return mine.failed + max(0.0, mine.refused - usual * mine.calls)

    def p95_ms(self, *, shadows: bool) -> float | None:
        """Return the 95th percentile of what the newer revision answered."""
        mine = self.candidate
        return buckets.quantile_ms(mine.shadow_took if shadows else mine.took, 0.95)

    @property
    def stable_p95_ms(self) -> float | None:
        """Return the same of the serving one."""
        return buckets.quantile_ms(self.stable.took, 0.95)

    def document(self) -> dict[str, Any]:
        """Write it, as it is stored."""
        return {"candidate": self.candidate.document(), "stable": self.stable.document()}

    @classmethod
    def of(cls, stored: Mapping[str, Any] | None) -> "Evidence":
        """Read what `document` wrote."""
        if not stored:
            return cls()
        return cls(Counts.of(stored["candidate"]), Counts.of(stored["stable"]))


class Outcome(enum.StrEnum):
    """How a rollout ended."""

    COMPLETED = "completed"
    ROLLED_BACK = "rolled_back"
    """By itself: a limit was passed, or the revision did not prove itself."""
    ABORTED = "aborted"
    """By somebody."""
    REPLACED = "replaced"
    """A newer revision was declared meanwhile."""


@dataclass(frozen=True)
class Stretch:
    """One step that is over, and what was counted in it."""

    step: int
    from_ms: int
    until_ms: int
    evidence: Evidence

    def document(self) -> dict[str, Any]:
        """Write it, as it is stored."""
        return {**vars(self), "evidence": self.evidence.document()}

    @classmethod
    def of(cls, stored: Mapping[str, Any]) -> "Stretch":
        """Read what `document` wrote."""
        fields: dict[str, Any] = {**stored, "evidence": Evidence.of(stored["evidence"])}
        return cls(**fields)


@dataclass(frozen=True)
class Sides:
    """How many replicas there are of the newer revision and of the serving one."""

    size: int
    """Of the newer one, once it has taken over."""
    stable_size: int
    ready: int
    stable_present: int
    """Those on their way out included: they hold what they have."""
    stable_ready: int


@dataclass(frozen=True)
class Rollout:
    """Where the rollout of one revision stands."""

    id: str
    revision: int
    created_at_ms: int
    updated_at_ms: int
    deployment_id: str
    number: int
    """The revision that is rolled out."""
    plan: Plan
    step: int = 0
    """The stage that is prepared or in force; as many as there are stages: all of the traffic."""
    begun_at_ms: int | None = None
    """When it got its first calls; none: it has not proved itself yet."""
    since_ms: int | None = None
    """When the stage came into force, less the time it was paused; none: it is prepared."""
    paused_at_ms: int | None = None
    paused_by: str | None = None
    base: Evidence = field(default_factory=Evidence)
    """What had been counted when the stage came into force."""
    stretches: tuple[Stretch, ...] = ()
    outcome: Outcome | None = None
    reason: str | None = None
    message: str | None = None
    fix: str | None = None
    ended_at_ms: int | None = None
    ended_by: str | None = None

    @property
    def open(self) -> bool:
        """Whether it is still under way."""
        return self.outcome is None

    @property
    def failed(self) -> bool:
        """Whether its revision does not take traffic any more."""
        return self.outcome not in {None, Outcome.COMPLETED}

    @property
    def paused(self) -> bool:
        """Whether somebody stopped its clock."""
        return self.paused_at_ms is not None

    @property
    def last(self) -> bool:
        """Whether no stage is left but all of the traffic."""
        return self.step >= len(self.plan.stages)

    @property
    def target(self) -> str:
        """Id of the newer revision's target in the routing table."""
        return f"{self.deployment_id}.{self.number}"

    @property
    def stage(self) -> Stage | None:
        """The stage in force; none: nobody is answered by it so far."""
        number = self.step if self.since_ms is not None else self.step - 1
        stages = self.plan.stages
        return stages[min(number, len(stages) - 1)] if stages and number >= 0 else None

    @property
    def state(self) -> str:
        """Say in a word where it stands."""
        if self.outcome is not None:
            return self.outcome
        if self.paused:
            return "paused"
        return "preparing" if self.begun_at_ms is None else "rolling"

    def held_ms(self, now_ms: int) -> int:
        """Return for how long the stage in force was watched."""
        if self.since_ms is None:
            return 0
        return max(0, (self.paused_at_ms or now_ms) - self.since_ms)

    def aim(self, sides: Sides) -> int:
        """Return how many replicas the stage asks for."""
        if self.last:
            return sides.size
        stage = self.plan.stages[self.step]
        share = max(stage.percent, stage.shadow_percent)
        aim = max(1, math.ceil(sides.size * share / 100))
        return min(aim, self.plan.above(sides.stable_size)) if stage.shadows else aim

    def candidates(self, sides: Sides) -> int:
        """Return how many replicas of the newer revision there are to be now."""
        room = sides.stable_size + self.plan.above(sides.stable_size)
        return max(
            min(self.aim(sides), room - sides.stable_present), 1, min(sides.ready, sides.size)
        )

    def stable(self, sides: Sides) -> int:
        """Return how many replicas of the serving revision there are to be now."""
        kept = sides.stable_size
        if self.begun_at_ms is None or ((stage := self._next) is not None and stage.shadows):
            return kept
        room = kept + self.plan.above(kept) - self.aim(sides)
        return min(kept, max(room, kept - sides.ready, 0))

    @property
    def _next(self) -> Stage | None:
        return None if self.last else self.plan.stages[self.step]

    def percent(self, sides: Sides) -> int:
        """
        Return how many of a hundred calls the newer revision answers.

        Where replicas of the serving one have to go before there is room for more of the newer one,
        it is its part of them, up to what the stage that is prepared gives it.
        """
        if self.begun_at_ms is None or not self.open:
            return 0
        now = self.stage.percent if self.stage else 0
        tight = self.plan.above(sides.stable_size) < self.aim(sides)
        if self.since_ms is not None or not tight or sides.ready == 0:
            return now
        most = 100 if self._next is None else self._next.percent
        share = 100 * sides.ready // (sides.ready + sides.stable_ready)
        return max(now, min(most, share))

    @property
    def shadow_percent(self) -> int:
        """Return how many of a hundred calls are copied to the newer revision."""
        if self.begun_at_ms is None or not self.open or self.stage is None:
            return 0
        return self.stage.shadow_percent
