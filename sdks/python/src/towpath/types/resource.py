"""What all resources of the control plane have."""

from datetime import datetime
from typing import Literal

from towpath.model import Model

Environment = Literal["sandbox", "staging", "production"]


class Resource(Model):
    """What every resource of the control plane has."""

    id: str
    revision: int
    created_at: datetime
    updated_at: datetime


class StepResult(Model):
    """What became of one smoke test or gate."""

    name: str
    outcome: str
    message: str
    fix: str | None
    ms: int | None


class Condition(Model):
    """One step of a resource's life: what is so, since when, and what to do when it is bad news."""

    type: str
    status: str
    reason: str | None
    message: str | None
    fix: str | None
    changed_at: datetime | None
    results: list[StepResult] | None
