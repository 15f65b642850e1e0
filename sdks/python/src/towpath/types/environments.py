"""What goes from one environment to the next, with whose approval, and what served when."""

from datetime import datetime
from typing import Any, Literal

from towpath.model import Model
from towpath.types.resource import Environment, Resource


class Decision(Model):
    """One person's word on a request."""

    by: str
    by_id: str
    answer: Literal["approve", "reject"]
    at: datetime
    comment: str | None


class Approval(Resource):
    """A request that others must agree to, and what became of it."""

    kind: str
    state: Literal["pending", "approved", "rejected", "void", "expired"]
    summary: str
    team: str
    environment: Environment | None
    name: str | None
    digest: str | None
    payload: dict[str, Any]
    reason: str | None
    requested_by: str
    requested_by_id: str
    needed: int
    decisions: list[Decision]
    expires_at: datetime
    note: str | None
    result: dict[str, Any] | None


class OriginSource(Model):
    """What a promotion carried on, or a rollback came back to."""

    deployment: str
    environment: Environment
    revision: int


class Origin(Model):
    """How a revision came about, in whose name, and who agreed."""

    how: Literal["manifest", "promotion", "rollback"]
    by: str
    by_id: str
    source: OriginSource | None
    approval: str | None
    approved_by: list[str]
    reason: str | None


class Served(Model):
    """
    A stretch of time in which a version took traffic.

    Its beginning is `served["from"]`.
    """

    id: str
    deployment: str
    name: str
    environment: Environment
    project: str
    revision: int
    version: int
    digest: str
    runtime: str
    until: datetime | None
    origin: Origin | None


class SelfServiceReason(Model):
    """Why deployments did not get there by themselves, and how many."""

    reason: str
    deployments: int


class SelfService(Model):
    """How many deployments reached Ready without the platform team's hands."""

    since: datetime
    until: datetime
    deployments: int
    self_service: int
    rate: float | None
    items: list[SelfServiceReason]
