"""Which domain knows the entities of which kind."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, Protocol, TypeVar

from towpath_server.core.db import Tx
from towpath_server.core.money import Price
from towpath_server.domains.blocks import service as blocks
from towpath_server.domains.budgets import service as budgets
from towpath_server.domains.deployments import service as deployments
from towpath_server.domains.endpoints import service as endpoints
from towpath_server.domains.keys import service as keys
from towpath_server.domains.keys.service import standins
from towpath_server.domains.limits import service as limits
from towpath_server.domains.prices import service as prices
from towpath_server.domains.projects import service as projects
from towpath_server.domains.providers import service as providers
from towpath_server.domains.teams import service as teams
from towpath_server.gatewaylink import entities, platform
from towpath_server.gatewaylink.routing import PAGE, Catalog, Load, Value


class Named(Protocol):
    """Whatever has an id."""

    @property
    def id(self) -> str:
        """The id, by which entities are ordered."""
        ...


Model = TypeVar("Model", bound=Named)
Routed = Callable[..., Awaitable[Sequence[Model]]]


def catalog(currency: str) -> Catalog:
    """Return how entities are read; what others refer to comes first."""

    def price(found: Price) -> Value:
        return entities.price(found, currency)

    return {
        "platform": platform.load,
        "team": _load(entities.team, teams.routed),
        "project": _load(
            entities.project, projects.routed, _of("trl", deployments.routed_projects)
        ),
        "price": _load(price, prices.routed),
        "credential": _load(
            entities.credential,
            providers.routed_credentials,
            endpoints.routed_credentials,
            deployments.routed_credentials,
        ),
        "target": _load(
            entities.target,
            _of("tgt", endpoints.routed_targets),
            deployments.routed_targets,
            _of("dep", deployments.routed_candidates),
            _of("trl", deployments.routed_trial_targets),
        ),
        "endpoint": _load(
            entities.endpoint, endpoints.routed, _of("trl", deployments.routed_trial_endpoints)
        ),
        "key": _load(
            entities.key, keys.routed, standins.routed, _of("trl", deployments.routed_keys)
        ),
        "limit": _load(entities.limit, limits.routed),
        "budget": _load(entities.budget, budgets.routed),
        "block": _load(entities.block, blocks.routed),
    }


def _of(prefix: str, source: Routed[Model]) -> Routed[Model]:
    """Ask a source only where its kind of id is among those that are wanted."""

    async def load(
        tx: Tx, *, ids: Collection[str] | None = None, after: str = "", limit: int = PAGE
    ) -> Sequence[Model]:
        if ids is not None and not any(id_.startswith(f"{prefix}_") for id_ in ids):
            return []
        return await source(tx, ids=ids, after=after, limit=limit)

    return load


def _load(write: Callable[[Any], Value], *sources: Routed[Any]) -> Load:
    """Read one kind from the domains that have entities of it, in one order of ids."""

    async def load(
        tx: Tx, *, ids: Collection[str] | None = None, after: str = "", limit: int = PAGE
    ) -> list[tuple[str, Value]]:
        found = [
            model
            for source in sources
            for model in await source(tx, ids=ids, after=after, limit=limit)
        ]
        found.sort(key=lambda model: model.id)
        # Each source gave its first `limit`, so the first `limit` of all are among them.
        return [(model.id, write(model)) for model in found[:limit]]

    return load
