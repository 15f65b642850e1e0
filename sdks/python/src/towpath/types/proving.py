"""What a deployment went through, and what suites found out about versions."""

from datetime import datetime
from typing import Any

from towpath.model import Model
from towpath.types.resource import Resource
from towpath.types.serving import DeployedModel, DeployedRuntime


class DeploymentRevision(Model):
    """What was declared at one time."""

    deployment: str
    revision: int
    model: DeployedModel
    runtime: DeployedRuntime
    replicas_wanted: int
    manifest: dict[str, Any]
    created_at: datetime
    created_by: str
    exposed_at: datetime | None
    serving: bool
    proved_by: int | None
    note: str | None
    rollout: str | None
    """How taking over step by step went, such as `rolled_back`."""
    rollout_message: str | None
    """Why it ended, with its numbers."""


class DeploymentEvent(Model):
    """One change of a condition, or of the phase (`type` is `Phase` then)."""

    id: str
    at: datetime
    revision: int
    type: str
    status: str
    reason: str
    message: str


class Evaluation(Resource):
    """What a run of a suite found out about a version; never changed."""

    model: str
    version: int
    digest: str
    suite: str
    suite_version: str
    runtime: str | None
    metrics: dict[str, dict[str, Any]]
    """By name: `value`, `low`, `high` and `n`."""
    verdict: str | None
    source: str
    created_by: str
