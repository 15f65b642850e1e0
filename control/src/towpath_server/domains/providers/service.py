"""Rules of providers."""

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from towpath_server.core import egress, ids, revision, uses
from towpath_server.core.access import Principal, Verb
from towpath_server.core.db import Tx
from towpath_server.core.errors import NameTaken, NotFound
from towpath_server.core.paging import Slice, Window
from towpath_server.core.secret import Secret
from towpath_server.domains.audit import service as audit
from towpath_server.domains.providers import store
from towpath_server.domains.providers.errors import DialectUnsupported, UpstreamAddressInvalid
from towpath_server.domains.providers.models import (
    DIALECTS,
    Credential,
    Price,
    Provider,
    ProviderModel,
    ProviderModelDraft,
)

Follower = Callable[[Tx, str], Awaitable[None]]
_followers: list[Follower] = []


@dataclass(frozen=True)
class ProviderDraft:
    """A provider as it is declared."""

    name: str
    dialect: str
    base_url: str
    credential: Secret | None = None
    header: str | None = None
    region: str | None = None
    max_data_class: str = "public"
    models: tuple[ProviderModelDraft, ...] = ()


def on_change(follow: Follower) -> Follower:
    """Register who must hear, in the same transaction, that a provider has changed."""
    _followers.append(follow)
    return follow


async def create(tx: Tx, caller: Principal, draft: ProviderDraft) -> Provider:
    """
    Create a provider; its credential is sealed and never given out again.

    Raises:
        Forbidden: The caller is not the platform.
        NameTaken: There is a provider of this name.
        DialectUnsupported: The gateway does not speak its dialect.
        UpstreamAddressInvalid: `base_url` cannot be called.
    """
    caller.require(Verb.CREATE, "provider")
    if draft.dialect not in DIALECTS:
        raise DialectUnsupported(draft.dialect, DIALECTS)
    if await store.find(tx, draft.name) is not None:
        raise NameTaken("provider", draft.name)
    credential_id = ids.new("crd") if draft.credential else None
    provider = Provider(
        id=ids.new("prv"),
        revision=1,
        created_at_ms=tx.now_ms,
        updated_at_ms=tx.now_ms,
        name=draft.name,
        dialect=draft.dialect,
        base_url=await reachable_url(tx, draft.base_url),
        credential_id=credential_id,
        header=draft.header,
        region=draft.region,
        max_data_class=draft.max_data_class,
        models=_models(draft.models, ()),
    )
    await store.insert(tx, provider, _seal(tx, draft.credential, credential_id))
    await _bump_owned(tx, provider)
    await _note(tx, caller, provider, "created", {"base_url": provider.base_url})
    return provider


async def get(tx: Tx, caller: Principal, ref: str, *, verb: Verb = Verb.READ) -> Provider:
    """
    Return a provider by id or name.

    Raises:
        NotFound: There is none.
        Forbidden: The caller may not `verb` it.
    """
    provider = await store.find(tx, ref)
    if provider is None:
        raise NotFound("provider", ref)
    caller.require(verb, "provider", ref=ref)
    return provider


async def find(tx: Tx, ref: str) -> Provider | None:
    """Find a provider by id or name, whoever asks."""
    return await store.find(tx, ref)


async def names(tx: Tx) -> Sequence[str]:
    """Return every provider's name."""
    return await store.names(tx)


async def by_ids(tx: Tx, wanted: Collection[str]) -> dict[str, Provider]:
    """Return providers by id, whoever asks."""
    return {provider.id: provider for provider in await store.rows(tx, wanted)} if wanted else {}


async def list(tx: Tx, caller: Principal, window: Window) -> Slice[Provider]:  # noqa: A001
    """List providers."""
    caller.require(Verb.READ, "provider")
    return Slice.cut(await store.page(tx, window), window)


async def update(
    tx: Tx, caller: Principal, ref: str, changes: dict[str, Any], *, if_match: int | None
) -> Provider:
    """
    Change what `changes` names; a new credential replaces the former one.

    Raises:
        NotFound: There is none.
        Forbidden: The caller is not the platform.
        RevisionConflict: It is no longer at `if_match`.
        UpstreamAddressInvalid: `base_url` cannot be called.
    """
    provider = await get(tx, caller, ref, verb=Verb.UPDATE)
    revision.match(if_match, provider.revision)
    columns: dict[str, Any] = {}
    if "base_url" in changes:
        columns["base_url"] = await reachable_url(tx, changes["base_url"])
    if "credential" in changes:
        columns |= _rotated(tx, changes["credential"])
    for name in ("header", "region", "max_data_class"):
        if name in changes:
            columns[name] = changes[name]
    await store.change(tx, provider, columns)
    if "models" in changes:
        await store.replace_models(tx, provider.id, _models(changes["models"], provider.models))
    changed = await get(tx, caller, provider.id)
    await _bump_owned(tx, provider)
    await _bump_owned(tx, changed)
    for follow in _followers:
        await follow(tx, provider.id)
    shown = {name: value for name, value in columns.items() if not name.startswith("credential")}
    shown |= {"credential": "replaced"} if "credential" in changes else {}
    shown |= {"models": [model.name for model in changed.models]} if "models" in changes else {}
    await _note(tx, caller, changed, "updated", shown)
    return changed


async def delete(tx: Tx, caller: Principal, ref: str, *, if_match: int | None) -> None:
    """
    Delete a provider that no endpoint uses.

    Raises:
        NotFound: There is none.
        Forbidden: The caller is not the platform.
        RevisionConflict: It is no longer at `if_match`.
        InUse: Endpoints have targets with it.
    """
    provider = await get(tx, caller, ref, verb=Verb.DELETE)
    revision.match(if_match, provider.revision)
    await uses.ensure_none(tx, "provider", provider.id, provider.name)
    await store.delete_provider(tx, provider)
    await _bump_owned(tx, provider)
    await _note(tx, caller, provider, "deleted", None)


async def routed_prices(
    tx: Tx, *, ids: Collection[str] | None = None, after: str = "", limit: int = 5_000
) -> Sequence[Price]:
    """List the prices of providers' models that the routing table holds."""
    return await store.prices(tx, wanted=ids, after=after, limit=limit)


async def routed_credentials(
    tx: Tx, *, ids: Collection[str] | None = None, after: str = "", limit: int = 5_000
) -> Sequence[Credential]:
    """List the sealed credentials of providers that the routing table holds."""
    return await store.credentials(tx, wanted=ids, after=after, limit=limit)


def upstream_url(text: str) -> str:
    """
    Check the address of an upstream, and write it without a slash at the end.

    Raises:
        UpstreamAddressInvalid: It is not one that the gateway may call.
    """
    url = text.strip().rstrip("/")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise _refused(text, f"it cannot be read: {error}") from error
    if parts.scheme not in {"http", "https"}:
        raise _refused(text, "it does not begin with `http://` or `https://`")
    if not host or any(ord(letter) <= 32 or ord(letter) == 127 for letter in url):
        raise _refused(text, "it names no host")
    if parts.username is not None or parts.password is not None:
        raise UpstreamAddressInvalid(
            "The URL holds a user or a password.", fix="Give the secret as `credential`."
        )
    if parts.query or parts.fragment:
        raise _refused(text, "it has a query or a fragment")
    return url


async def reachable_url(tx: Tx, text: str) -> str:
    """
    Check the address of an upstream, and that the gateway may connect to it as far as it says.

    Raises:
        UpstreamAddressInvalid: It is not one that the gateway may call.
    """
    url = upstream_url(text)
    allow = [egress.network(network) for network in await store.networks(tx)]
    why = egress.denied(urlsplit(url).hostname or "", allow)
    if why is not None:
        raise UpstreamAddressInvalid(
            f"`{url[:200]}` may not be called: {why}.",
            fix="Name an address outside, or ask the platform team to list its network in "
            "`TOWPATH_EGRESS_ALLOW`.",
        )
    return url


async def egress_allow(tx: Tx) -> Sequence[str]:
    """Return the networks that upstreams given by URL may be in, whatever else forbids it."""
    return await store.networks(tx)


async def declare_egress(tx: Tx, networks: Sequence[str]) -> bool:
    """Let these be those networks; return whether that is a change."""
    if set(await store.networks(tx)) == set(networks):
        return False
    await store.replace_networks(tx, networks)
    return True


def _refused(url: str, why: str) -> UpstreamAddressInvalid:
    return UpstreamAddressInvalid(
        f"`{url.rpartition('@')[2][:200]}` is not the address of an upstream: {why}.",
        fix="Give the base URL as OpenAI clients take it, such as `https://api.example.com/v1`.",
    )


def _models(
    drafts: Sequence[ProviderModelDraft], former: Sequence[ProviderModel]
) -> tuple[ProviderModel, ...]:
    """Give every model its price; one that is as before keeps its id."""
    known = {model.name: model.price for model in former}
    found = []
    for draft in drafts:
        price = None
        if draft.input_nano is not None and draft.output_nano is not None:
            amounts = (draft.input_nano, draft.output_nano, draft.cached_input_nano)
            price = known.get(draft.name)
            if price is None or price != Price(price.id, *amounts):
                price = Price(ids.new("prc"), *amounts)
        found.append(ProviderModel(draft.name, price, draft.context_length))
    return tuple(found)


def _rotated(tx: Tx, credential: Secret | None) -> dict[str, Any]:
    credential_id = ids.new("crd") if credential else None
    sealed = _seal(tx, credential, credential_id)
    return {"credential_id": credential_id, "credential_sealed": sealed}


def _seal(tx: Tx, credential: Secret | None, credential_id: str | None) -> str | None:
    if credential is None or credential_id is None:
        return None
    return tx.sealer.seal(credential, id=credential_id)


async def _bump_owned(tx: Tx, provider: Provider) -> None:
    if provider.credential_id is not None:
        await revision.bump(tx, "credential", provider.credential_id)
    for model in provider.models:
        if model.price is not None:
            await revision.bump(tx, "price", model.price.id)


async def _note(
    tx: Tx, caller: Principal, provider: Provider, what: str, changes: dict[str, Any] | None
) -> None:
    await audit.append(
        tx,
        caller,
        action=f"provider.{what}",
        noun="provider",
        id=provider.id,
        team=None,
        changes={"name": provider.name, **changes} if changes is not None else None,
    )
