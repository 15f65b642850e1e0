"""How much may be asked for, used and reserved, and what is stopped."""

from collections.abc import Mapping
from typing import Any, Literal, NotRequired, TypedDict, Unpack

from towpath.paging import AsyncPages
from towpath.resources.noun import AsyncNoun
from towpath.types import (
    Block,
    Budget,
    BudgetState,
    Environment,
    Limit,
    LimitState,
    Quota,
    QuotaState,
)

Rate = int | Mapping[str, int]
"""A number, or `{"limit": …, "burst": …}`."""


class LimitCreate(TypedDict):
    """A limit of one or two of key, project, team and endpoint."""

    key: NotRequired[str]
    project: NotRequired[str]
    team: NotRequired[str]
    endpoint: NotRequired[str]
    environment: NotRequired[Environment]
    requests_per_second: NotRequired[Rate]
    requests_per_minute: NotRequired[Rate]
    tokens_per_minute: NotRequired[Rate]
    concurrency: NotRequired[int]


class BudgetCreate(TypedDict):
    """A budget of one or two of key, project, team and endpoint; of tokens or of money."""

    key: NotRequired[str]
    project: NotRequired[str]
    team: NotRequired[str]
    endpoint: NotRequired[str]
    environment: NotRequired[Environment]
    tokens: NotRequired[int]
    cost: NotRequired[str]
    cost_nano: NotRequired[int]
    period: Literal["day", "week", "month"]
    mode: Literal["soft", "hard"]
    warn_percent: NotRequired[int]


class BlockCreate(TypedDict):
    """What to stop: exactly one of endpoint, key, provider and model."""

    endpoint: NotRequired[str]
    environment: NotRequired[Environment]
    key: NotRequired[str]
    provider: NotRequired[str]
    model: NotRequired[str]
    reason: NotRequired[str]


class QuotaCreate(TypedDict):
    """What a team may reserve in an environment; what is absent is not limited."""

    team: str
    environment: Environment
    replicas: NotRequired[int]
    cpu: NotRequired[str]
    memory: NotRequired[str]
    gpus: NotRequired[Mapping[str, int]]


class AsyncLimits(AsyncNoun[Limit]):
    """How much a subject may ask for at a time."""

    _path = "/api/v1/limits"
    _kind = Limit

    async def create(self, **limit: Unpack[LimitCreate]) -> Limit:
        """Set a limit."""
        return await self._create(limit)

    async def update(self, ref: str, *, if_match: int | None = None, **changes: Any) -> Limit:
        """Change what is allowed; what is not given stays, None takes it away."""
        return await self._update(ref, changes, if_match)

    async def state(self, ref: str) -> LimitState:
        """Say where it stands: in flight, left, refused, as the gateways said last."""
        return LimitState.of(*await self._client.call("GET", self._at(ref, "state")))

    def list(self, **query: Any) -> AsyncPages[Limit]:
        """List limits; filters: `key`, `project`, `team`, `endpoint`, `environment`."""
        return self._listed(query)


class AsyncBudgets(AsyncNoun[Budget]):
    """How much a subject may use in a day, week or month."""

    _path = "/api/v1/budgets"
    _kind = Budget

    async def create(self, **budget: Unpack[BudgetCreate]) -> Budget:
        """Set a budget; what its subject used in the current period already counts."""
        return await self._create(budget)

    async def update(self, ref: str, *, if_match: int | None = None, **changes: Any) -> Budget:
        """Change amount, mode or warning; what is not given stays."""
        return await self._update(ref, changes, if_match)

    async def state(self, ref: str) -> BudgetState:
        """Say where it stands: used, held, left, and when it begins anew."""
        return BudgetState.of(*await self._client.call("GET", self._at(ref, "state")))

    def list(self, **query: Any) -> AsyncPages[Budget]:
        """List budgets; filters: `key`, `project`, `team`, `endpoint`, `environment`."""
        return self._listed(query)


class AsyncQuotas(AsyncNoun[Quota]):
    """What teams may reserve in their environments; a reference is an id or `team:environment`."""

    _path = "/api/v1/quotas"
    _kind = Quota

    async def create(self, **quota: Unpack[QuotaCreate]) -> Quota:
        """Set what a team may reserve in an environment."""
        return await self._create(quota)

    async def update(self, ref: str, *, if_match: int | None = None, **changes: Any) -> Quota:
        """Change what may be reserved; what is not given stays, None lifts it."""
        return await self._update(ref, changes, if_match)

    async def state(self, ref: str) -> QuotaState:
        """Say what is used and free, and who holds it; answers for defaults, too."""
        return QuotaState.of(*await self._client.call("GET", self._at(ref, "state")))

    def list(self, **query: Any) -> AsyncPages[Quota]:
        """List quotas; filters: `team`, `environment`."""
        return self._listed(query)


class AsyncBlocks(AsyncNoun[Block]):
    """What is stopped at once."""

    _path = "/api/v1/blocks"
    _kind = Block

    async def create(self, **block: Unpack[BlockCreate]) -> Block:
        """Stop something on every gateway."""
        return await self._create(block)

    def list(self, **query: Any) -> AsyncPages[Block]:
        """List blocks; filters: `endpoint`, `environment`, `key`, `provider`, `model`."""
        return self._listed(query)
