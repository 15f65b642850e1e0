"""How a newer revision takes over from the one that serves."""

from datetime import datetime

from towpath.model import Model


class RolloutEvidence(Model):
    """What gateways counted of both revisions in the same stretch of time."""

    calls: int
    """That came to the newer revision."""
    failed: int
    """Of them, whoever answered them in the end."""
    refused: int
    """That it answered with a 4xx."""
    p95_ms: float | None
    """Of what it answered."""
    serving_calls: int
    serving_failed: int
    serving_refused: int
    serving_p95_ms: float | None
    copies: int
    """Calls that were copied to it."""
    copies_failed: int
    copies_skipped: int
    """Too many were under way, or the call was too large."""
    copies_p95_ms: float | None
    compared: int
    different: int
    differences: dict[str, int]
    """Where answers differed, as JSON paths, by how many did."""


class RolloutStage(Model):
    """One step of it, and what was counted in it once it is over."""

    step: int
    """From 0; the last one has all of the calls."""
    weight: int
    """Percent of the calls."""
    shadow_percent: int
    """Percent of the calls that are copied."""
    hold_ms: int | None
    """How long it is watched; none: until it is whole."""
    began_at: datetime | None
    ended_at: datetime | None
    evidence: RolloutEvidence | None


class RolloutLimits(Model):
    """Above which it is rolled back; none: it is not looked at."""

    error_rate: float | None
    """Part of the calls, from 0 to 1."""
    p95_ms: float | None
    differences: float | None
    """Part of the answers compared, from 0 to 1."""
    minimum_calls: int


class Rollout(Model):
    """How a newer revision takes over from the one that serves."""

    id: str
    revision: int
    """Rises with every change; the `ETag`."""
    created_at: datetime
    updated_at: datetime
    deployment: str
    name: str
    environment: str
    deployment_revision: int
    """The revision that takes over."""
    serving_revision: int
    """The revision that takes the traffic."""
    state: str
    """`preparing`, `rolling`, `paused`, `completed`, `rolled_back`, `aborted` or `replaced`."""
    step: int
    """The step that is prepared or watched."""
    percent: int
    """Of the calls, that it answers now."""
    stages: list[RolloutStage]
    limits: RolloutLimits
    evidence: RolloutEvidence
    """What is counted in the step so far."""
    reason: str | None
    """Why it ended, in a word."""
    message: str
    fix: str | None
    paused_by: str | None
    ended_at: datetime | None
    ended_by: str | None
    """None: it ended by itself."""
