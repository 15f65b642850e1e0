"""What the gateway needs of endpoints and of their static and provider targets."""

from collections.abc import Collection, Sequence

from towpath_server.core import revision, uses
from towpath_server.core.db import Tx
from towpath_server.domains.endpoints.models import (
    Endpoint,
    Replica,
    RoutedEndpoint,
    RoutedTarget,
    Target,
    TargetKind,
)
from towpath_server.domains.endpoints.store import endpoints as store
from towpath_server.domains.endpoints.store import targets as target_store
from towpath_server.domains.providers import service as providers
from towpath_server.domains.providers.models import Credential, Price, Provider


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
    return [
        _provider(target, at[target.provider_id])
        if target.kind is TargetKind.PROVIDER and target.provider_id is not None
        else _static(target)
        for target in found
    ]


async def routed_prices(
    tx: Tx, *, ids: Collection[str] | None = None, after: str = "", limit: int = 5_000
) -> list[Price]:
    """List the prices of static targets by id, or all after one, in order of id."""
    return await target_store.prices(tx, wanted=ids, after=after, limit=limit)


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
        fallback=tuple(bound.target.id for bound in endpoint.fallback),
        timeouts=endpoint.timeouts.given(),
        created_at_ms=endpoint.created_at_ms,
    )


def _provider(target: Target, provider: Provider) -> RoutedTarget:
    model = provider.model(target.upstream_model or "")
    return RoutedTarget(
        id=target.id,
        name=provider.name,
        kind=target.kind,
        dialect=provider.dialect,
        replicas=(Replica(target.id, provider.base_url),),
        upstream_model=target.upstream_model or "",
        operations=target.operations,
        credential=provider.credential_id,
        provider=provider.name,
        region=provider.region,
        operator="external",
        max_data_class=provider.max_data_class,
        price=model.price.id if model and model.price else None,
        context_length=model.context_length if model else None,
        owned_by=provider.name,
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
        price=target.price.id if target.price else None,
        context_length=target.context_length,
    )
