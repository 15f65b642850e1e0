"""How much may be asked for and used, and what is stopped."""

from datetime import datetime
from typing import Literal

from towpath.model import Model
from towpath.types.resource import Environment, Resource


class Rate(Model):
    """A rate: in any window of length t at most `burst + limit · t` pass."""

    limit: int
    burst: int | None


class Limit(Resource):
    """How much a subject may ask for at a time; `label` is the subject in words."""

    label: str
    key: str | None
    project: str | None
    team: str | None
    endpoint: str | None
    set_by: Literal["platform", "team"]
    requests_per_second: Rate | None
    requests_per_minute: Rate | None
    tokens_per_minute: Rate | None
    concurrency: int | None


class LimitAtGateway(Model):
    """Where a limit stands at one gateway."""

    gateway: str
    reported_at: datetime
    in_flight: int
    requests_left: int | None
    tokens_left: int | None
    refused: int


class LimitState(Model):
    """Where a limit stands: the sum over the gateways, as they said last."""

    limit: str
    label: str
    in_flight: int
    requests_left: int | None
    tokens_left: int | None
    refused: int
    reported_at: datetime | None
    gateways: list[LimitAtGateway]


class Budget(Resource):
    """How much a subject may use in each period, in tokens or money."""

    label: str
    key: str | None
    project: str | None
    team: str | None
    endpoint: str | None
    set_by: Literal["platform", "team"]
    tokens: int | None
    cost_nano: int | None
    cost: str | None
    period: Literal["day", "week", "month"]
    mode: Literal["soft", "hard"]
    warn_percent: int


class BudgetAtGateway(Model):
    """Where a budget stands at one gateway, beyond what the ledger knows."""

    gateway: str
    reported_at: datetime
    reserved: int
    unshipped: int
    refused: int


class BudgetState(Model):
    """Where a budget stands in its current period, in its `unit`."""

    budget: str
    label: str
    unit: Literal["tokens", "cost"]
    amount: int
    period_start: datetime
    resets_at: datetime
    used: int
    unshipped: int
    reserved: int
    left: int
    refused: int
    level: Literal["within", "warned", "exhausted"]
    as_of: dict[str, int]
    gateways: list[BudgetAtGateway]


class Block(Resource):
    """Something that is stopped."""

    what: Literal["endpoint", "key", "provider", "model"]
    ref: str
    name: str
    reason: str | None


class Amounts(Model):
    """Amounts of everything that is counted; none: not limited."""

    replicas: int | None
    cpu: str | None
    memory: str | None
    gpus: dict[str, int] | None


class Quota(Resource):
    """What a team may reserve in one environment; none: not limited."""

    team: str
    team_name: str
    environment: Environment
    replicas: int | None
    cpu: str | None
    memory: str | None
    gpus: dict[str, int] | None


class QuotaHolder(Model):
    """A deployment that holds some of a team's capacity."""

    deployment: str
    name: str
    held: Amounts
    ending: bool
    until: datetime | None


class QuotaState(Model):
    """Where a team stands in one environment; without `quota` the default of the settings holds."""

    quota: str | None
    team: str
    team_name: str
    environment: Environment
    allowed: Amounts
    used: Amounts
    free: Amounts
    holders: list[QuotaHolder]
    hidden: int
