"""The part of a manifest that says how a newer revision takes over: `rollout`."""

import itertools
import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field, StringConstraints, field_validator

from towpath_server.core import durations
from towpath_server.domains.deployments.models.rollout import (
    ERROR_RATE,
    MINIMUM_CALLS,
    Limits,
    Plan,
    Stage,
)
from towpath_server.domains.deployments.schemas.faults import Fault
from towpath_server.domains.deployments.schemas.scaling import MAX_REPLICAS, Text, read_time
from towpath_server.domains.deployments.schemas.section import Section

_MAX_STEPS = 20
_MAX_HOLD_MS = 7 * 86_400_000
_MAX_LATENCY_MS = 3_600_000
_PERCENT = re.compile(r"([0-9]{1,3})%")
_SHARE = re.compile(r"> *([0-9]{1,2}(?:\.[0-9]{1,3})?|100) ?%")
_TIME = re.compile(r"> *(\S+)")

Percent = Annotated[str, StringConstraints(min_length=1, max_length=10)]


Hold = Annotated[Text, AfterValidator(lambda value: read_time(value, 0, _MAX_HOLD_MS))]


class RolloutStep(Section):
    """So many percent of the calls, for a while."""

    weight: int = Field(ge=1, le=99)
    hold: Hold


class Shadow(Section):
    """Calls that are copied before any caller is answered by it."""

    percent: int = Field(100, ge=1, le=100)
    hold: Hold


class RollbackOn(Section):
    """Above which it is rolled back."""

    error_rate: Text | None = f"> {ERROR_RATE:.0%}"
    """Calls that failed, of all; what is not said is `> 5%`, and null is no limit."""
    p95_latency: Text | None = None
    differences: Text | None = None
    """Answers to copies that differ from what callers got, of those that were compared."""

    @field_validator("error_rate", "differences")
    @classmethod
    def _share(cls, value: str | None) -> str | None:
        if value is not None and not _SHARE.fullmatch(value):
            fix = 'Write it such as `"> 1%"`, from 0 to 100.'
            raise Fault("is no limit in percent", fix, "InvalidLimit")
        return value

    @field_validator("p95_latency")
    @classmethod
    def _latency(cls, value: str | None) -> str | None:
        if value is None:
            return None
        found = _TIME.fullmatch(value)
        if found is None:
            fix = 'Write it such as `"> 500ms"` or `"> 1.5s"`.'
            raise Fault("is no limit in time", fix, "InvalidLimit")
        read_time(found[1], 1, _MAX_LATENCY_MS)
        return value

    def draft(self) -> Limits:
        """Read it."""
        latency = _TIME.fullmatch(self.p95_latency) if self.p95_latency else None
        return Limits(
            error_rate=_part(self.error_rate),
            p95_ms=durations.to_ms(latency[1]) if latency else None,
            differences=_part(self.differences),
        )


class Rolling(Section):
    """How a newer revision takes over from the one that serves."""

    max_surge: int | Percent | None = None
    """Replicas above the wanted number meanwhile: a number, or percent of it; by default all."""
    shadow: Shadow | None = None
    steps: list[RolloutStep] = Field(default_factory=list, max_length=_MAX_STEPS)
    """Each with more of the calls than the one before; after the last it gets all of them."""
    rollback_on: RollbackOn = Field(default_factory=RollbackOn)
    minimum_calls: int = Field(MINIMUM_CALLS, ge=1, le=1_000_000)
    """With fewer calls in a step nothing is judged by shares; the step ends all the same."""

    @field_validator("max_surge")
    @classmethod
    def _above(cls, value: int | str | None) -> int | str | None:
        found = _PERCENT.fullmatch(value) if isinstance(value, str) else None
        if value is None or (found and 1 <= int(found[1]) <= 100):
            return value
        if isinstance(value, int) and 1 <= value <= MAX_REPLICAS:
            return value
        fix = f"Write a number from 1 to {MAX_REPLICAS}, or `1%` to `100%`."
        raise Fault("is no number of replicas", fix, "OutOfRange")

    @field_validator("steps")
    @classmethod
    def _rising(cls, value: list[RolloutStep]) -> list[RolloutStep]:
        weights = [step.weight for step in value]
        if any(later <= former for former, later in itertools.pairwise(weights)):
            fix = "Order them by `weight`, each above the one before."
            raise Fault("do not rise", fix, "Contradiction")
        return value

    @field_validator("rollback_on")
    @classmethod
    def _comparable(cls, value: RollbackOn, info: Any) -> RollbackOn:
        if value.differences is not None and info.data.get("shadow") is None:
            fix = "Add `shadow: {percent: 100, hold: 2m}`, or leave `differences` out."
            raise Fault("has `differences`, and nothing is copied", fix, "Contradiction")
        return value

    def draft(self) -> Plan:
        """Read it."""
        stages = [Stage(one.weight, durations.to_ms(one.hold)) for one in self.steps]
        if self.shadow is not None:
            hold_ms = durations.to_ms(self.shadow.hold)
            stages.insert(0, Stage(0, hold_ms, shadow_percent=self.shadow.percent))
        surge = self.max_surge
        percent = _PERCENT.fullmatch(surge) if isinstance(surge, str) else None
        return Plan(
            stages=tuple(stages),
            limits=self.rollback_on.draft(),
            surge=surge if isinstance(surge, int) else None,
            surge_percent=int(percent[1]) if percent else 100,
            minimum_calls=self.minimum_calls,
        )


def _part(text: str | None) -> float | None:
    found = _SHARE.fullmatch(text) if text is not None else None
    return float(found[1]) / 100 if found else None
