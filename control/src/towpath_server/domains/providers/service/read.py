"""Finding providers and vendors."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace

from towpath_server.core import suggest
from towpath_server.core.access import Principal, Verb
from towpath_server.core.db import Tx
from towpath_server.core.errors import NotFound
from towpath_server.core.paging import Slice, Window
from towpath_server.domains.prices import service as prices
from towpath_server.domains.providers.models import Credential, Provider, Vendor
from towpath_server.domains.providers.store import providers as store
from towpath_server.domains.providers.store import vendors as catalogue


async def get(tx: Tx, caller: Principal, ref: str, *, verb: Verb = Verb.READ) -> Provider:
    """
    Return a provider by id or name.

    Raises:
        NotFound: There is none.
        Forbidden: The caller may not `verb` it.
    """
    provider = await find(tx, ref)
    if provider is None:
        raise NotFound("provider", ref)
    caller.require(verb, "provider", ref=ref)
    return provider


async def find(tx: Tx, ref: str) -> Provider | None:
    """Find a provider by id or name, whoever asks."""
    found = await store.find(tx, ref)
    return (await _priced(tx, [found]))[0] if found else None


async def names(tx: Tx) -> Sequence[str]:
    """Return every provider's name."""
    return await store.names(tx)


async def by_ids(tx: Tx, wanted: Collection[str]) -> dict[str, Provider]:
    """Return providers by id, whoever asks."""
    found = await _priced(tx, await store.rows(tx, wanted)) if wanted else []
    return {provider.id: provider for provider in found}


async def list(tx: Tx, caller: Principal, window: Window) -> Slice[Provider]:  # noqa: A001
    """List providers."""
    caller.require(Verb.READ, "provider")
    return Slice.cut(await _priced(tx, await store.page(tx, window)), window)


async def routed_credentials(
    tx: Tx, *, ids: Collection[str] | None = None, after: str = "", limit: int = 5_000
) -> Sequence[Credential]:
    """List the sealed credentials of providers that the routing table holds."""
    return await store.credentials(tx, wanted=ids, after=after, limit=limit)


def vendors(caller: Principal) -> Sequence[Vendor]:
    """Return the catalogue."""
    caller.require(Verb.READ, "vendor")
    return catalogue.catalogue()


def vendor(name: str) -> Vendor:
    """
    Return a row of the catalogue.

    Raises:
        NotFound: There is none of this name.
    """
    rows = catalogue.catalogue()
    found = next((row for row in rows if row.name == name), None)
    if found is None:
        hint = suggest.did_you_mean(name, [row.name for row in rows])
        raise NotFound("vendor", name, fix=hint or "`towpath providers vendors` lists them.")
    return found


async def _priced(tx: Tx, found: Iterable[Provider]) -> Sequence[Provider]:
    """Add the prices of all models."""
    providers = [*found]
    owned = await prices.of(tx, {provider.id for provider in providers})
    return [
        replace(
            provider,
            models=tuple(
                replace(model, prices=tuple(owned.get((provider.id, model.name), ())))
                for model in provider.models
            ),
        )
        for provider in providers
    ]
