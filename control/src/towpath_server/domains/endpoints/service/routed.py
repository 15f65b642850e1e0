"""What the gateway needs of endpoints and of their static and provider targets."""

from collections.abc import Collection, Sequence
from dataclasses import replace

from towpath_server.core import revision, uses
from towpath_server.core.db import Tx
from towpath_server.core.money import Price
from towpath_server.domains.endpoints.models import (
    Bound,
    Endpoint,
    Replica,
    RoutedEndpoint,
    RoutedTarget,
    Target,
)
from towpath_server.domains.endpoints.service.read import owner_of_prices
from towpath_server.domains.endpoints.store import endpoints as store
from towpath_server.domains.endpoints.store import targets as target_store
from towpath_server.domains.prices import service as prices
from towpath_server.domains.providers import service as providers
from towpath_server.domains.providers.models import Credential, Provider


async def routed(
    tx: Tx, *, ids: Collection[str] | None = None, after: str = "", limit: int = 5_000
) -> list[RoutedEndpoint]:
    """List endpoints by id, or all after one, in order of id."""
    found = await store.rows(tx, wanted=ids, after=after, limit=limit)
    return [_endpoint(endpoint) for endpoint in found]


async def routed_targets(
    tx: Tx, *, ids: Collection[str] | None = None, after: str = "", limit: int = 5_000
) -> list[RoutedTarget]:
    """List static and provider targets by id, or all after one, in order of id."""
    found = await target_store.owned(tx, wanted=ids, after=after, limit=limit)
    at = await providers.by_ids(tx, {t.provider_id for t in found if t.provider_id})
    owned = await prices.of(tx, {owner_of_prices(target)[0] for target in found})
    return [
        _routed(
            target,
            at[target.provider_id] if target.provider_id is not None else None,
            owned.get(owner_of_prices(target), ()),
        )
        for target in found
    ]


async def routed_credentials(
    tx: Tx, *, ids: Collection[str] | None = None, after: str = "", limit: int = 5_000
) -> list[Credential]:
    """List the credentials of static targets by id, or all after one, in order of id."""
    return await target_store.credentials(tx, wanted=ids, after=after, limit=limit)


@providers.on_change
async def _provider_changed(tx: Tx, provider_id: str) -> None:
    for target_id in await target_store.ids_of_provider(tx, provider_id):
        await revision.bump(tx, "target", target_id)


@uses.of("provider")
async def _uses_of_provider(tx: Tx, provider_id: str) -> Sequence[str]:
    return [f"endpoint {name}" for name in await store.using_provider(tx, provider_id)]


@uses.of("project")
async def _uses_of_project(tx: Tx, project_id: str) -> Sequence[str]:
    return [f"endpoint {name}" for name in await store.of_project(tx, project_id)]


def _endpoint(endpoint: Endpoint) -> RoutedEndpoint:
    return RoutedEndpoint(
        id=endpoint.id,
        name=endpoint.name,
        environment=endpoint.environment,
        project=endpoint.project_id,
        visibility=endpoint.access.visibility,
        allow=tuple((allow.kind, allow.id) for allow in endpoint.access.allow),
        callers=endpoint.access.callers,
        targets=tuple((bound.target.id, bound.weight) for bound in endpoint.targets),
        fallback=tuple(
            ("target", one.target.id) if isinstance(one, Bound) else ("endpoint", one.id)
            for one in endpoint.fallback
        ),
        serving=endpoint.serving.document(
            {bound.target.name: bound.target.id for bound in endpoint.targets}
        ),
        created_at_ms=endpoint.created_at_ms,
    )


def _routed(target: Target, provider: Provider | None, known: Sequence[Price]) -> RoutedTarget:
    costs = tuple(price.id for price in known)
    found = _provider(target, provider) if provider is not None else _static(target)
    return replace(found, prices=costs)


def _provider(target: Target, provider: Provider) -> RoutedTarget:
    model = provider.model(target.upstream_model or "")
    return RoutedTarget(
        id=target.id,
        name=provider.name,
        kind=target.kind,
        dialect=provider.dialect,
        replicas=(Replica(target.id, provider.base_url),),
        upstream_model=target.upstream_model or "",
        operations=provider.operations,
        credential=provider.credential_id,
        provider=provider.name,
        signature=model.signature if model else None,
        region=provider.region,
        operator=provider.operator,
        max_data_class=provider.max_data_class,
        context_length=model.context_length if model else None,
        owned_by=provider.name,
        handling=provider.handling,
    )


def _static(target: Target) -> RoutedTarget:
    return RoutedTarget(
        id=target.id,
        name=target.name,
        kind=target.kind,
        dialect=target.dialect or "openai",
        replicas=(Replica(target.id, target.url or ""),),
        upstream_model=target.upstream_model or "",
        operations=target.operations,
        credential=target.credential_id,
        signature=target.signature,
        region=target.region,
        max_data_class=target.max_data_class,
        context_length=target.context_length,
        handling=target.handling,
    )
