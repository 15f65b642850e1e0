"""Queries of providers. Prices are those of the noun `prices`; the service adds them."""

from collections.abc import Collection, Iterable
from typing import Any

from sqlalchemy import delete, select

from towpath_server.core import ids, queries
from towpath_server.core.db import Tx
from towpath_server.core.paging import Window
from towpath_server.core.upstream import Handling
from towpath_server.domains.providers.models import Credential, Provider, ProviderModel
from towpath_server.domains.providers.tables import (
    egress_networks,
    provider_models,
    providers,
)

_SHOWN = [column for column in providers.c if column.name != "credential_sealed"]
_PLAIN = [column.name for column in _SHOWN if column.name not in {"operations", "handling"}]


async def insert(tx: Tx, provider: Provider, sealed: str | None) -> None:
    """Add a provider with its models."""
    await tx.execute(
        providers.insert().values(
            **{name: getattr(provider, name) for name in _PLAIN},
            operations=[*provider.operations],
            handling=provider.handling.document(),
            credential_sealed=sealed,
        )
    )
    await insert_models(tx, provider.id, provider.models)


async def insert_models(tx: Tx, provider_id: str, models: Iterable[ProviderModel]) -> None:
    """Add models to a provider."""
    rows = [
        {
            "provider_id": provider_id,
            "name": model.name,
            "context_length": model.context_length,
            "signature": model.signature,
        }
        for model in models
    ]
    if rows:
        await tx.execute(provider_models.insert(), rows)


async def replace_models(tx: Tx, provider_id: str, models: Iterable[ProviderModel]) -> None:
    """Let a provider have exactly these models."""
    await tx.execute(delete(provider_models).where(provider_models.c.provider_id == provider_id))
    await insert_models(tx, provider_id, models)


async def find(tx: Tx, ref: str) -> Provider | None:
    """Find a provider by id or name."""
    column = providers.c.id if ids.is_id(ref, "prv") else providers.c.name
    found = await _read(tx, select(*_SHOWN).where(column == ref))
    return found[0] if found else None


async def rows(tx: Tx, wanted: Collection[str]) -> list[Provider]:
    """Return providers by id."""
    return await _read(tx, select(*_SHOWN).where(providers.c.id.in_(sorted(wanted))))


async def names(tx: Tx) -> list[str]:
    """Return every provider's name."""
    return list((await tx.execute(select(providers.c.name))).scalars())


async def page(tx: Tx, window: Window) -> list[Provider]:
    """List one provider more than the window has."""
    query: Any = select(*_SHOWN)
    return await _read(tx, queries.windowed(query, window, providers.c.id))


async def change(tx: Tx, provider: Provider, values: dict[str, Any]) -> None:
    """Change some columns."""
    await queries.change(tx, providers, provider.id, provider.revision, values)


async def delete_provider(tx: Tx, provider: Provider) -> None:
    """Remove a provider; its models go with it."""
    await queries.remove(tx, providers, provider.id, provider.revision)


async def credentials(
    tx: Tx, *, wanted: Collection[str] | None, after: str, limit: int
) -> list[Credential]:
    """List sealed credentials by id, or all after one, in order of id."""
    column = providers.c.credential_id
    query = select(column, providers.c.credential_sealed, providers.c.header)
    query = query.where(column.is_not(None))
    if wanted is None:
        query = query.where(column > after).order_by(column).limit(limit)
    else:
        query = query.where(column.in_(sorted(wanted)))
    return [
        Credential(row.credential_id, row.credential_sealed, row.header)
        for row in await tx.execute(query)
    ]


async def networks(tx: Tx) -> list[str]:
    """List the networks that upstreams given by URL may be in, whatever else forbids it."""
    column = egress_networks.c.network
    return list((await tx.execute(select(column).order_by(column))).scalars())


async def replace_networks(tx: Tx, wanted: Collection[str]) -> None:
    """Let these be the networks."""
    await tx.execute(delete(egress_networks))
    if wanted:
        rows = [{"network": network} for network in sorted(wanted)]
        await tx.execute(egress_networks.insert(), rows)


async def _read(tx: Tx, query: Any) -> list[Provider]:
    found = list(await tx.execute(query))
    models: dict[str, list[ProviderModel]] = {row.id: [] for row in found}
    if found:
        for row in await tx.execute(
            select(provider_models)
            .where(provider_models.c.provider_id.in_(models))
            .order_by(provider_models.c.name)
        ):
            model = ProviderModel(row.name, (), row.context_length, row.signature)
            models[row.provider_id].append(model)
    return [
        Provider(
            **{name: getattr(row, name) for name in _PLAIN},
            operations=tuple(row.operations),
            handling=Handling.of(row.handling),
            models=tuple(models[row.id]),
        )
        for row in found
    ]
