"""Creating, changing and deleting providers."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from towpath_server.core import ids, revision, suggest, uses
from towpath_server.core.access import Principal, Verb
from towpath_server.core.db import Tx
from towpath_server.core.errors import Finding, InvalidRequest, NameTaken
from towpath_server.core.money import Price, PriceDraft
from towpath_server.core.secret import Secret
from towpath_server.core.upstream import Handling
from towpath_server.domains.audit import service as audit
from towpath_server.domains.prices import service as prices
from towpath_server.domains.providers.errors import DialectUnsupported
from towpath_server.domains.providers.models import (
    DIALECTS,
    OPERATIONS,
    Provider,
    ProviderDraft,
    ProviderModel,
    ProviderModelDraft,
)
from towpath_server.domains.providers.service import read
from towpath_server.domains.providers.service.address import reachable_url
from towpath_server.domains.providers.store import providers as store

Follower = Callable[[Tx, str], Awaitable[None]]
_followers: list[Follower] = []
_PLAIN = ("operator", "header", "region", "max_data_class")


def on_change(follow: Follower) -> Follower:
    """Register who must hear, in the same transaction, that a provider has changed."""
    _followers.append(follow)
    return follow


async def create(
    tx: Tx, caller: Principal, draft: ProviderDraft, *, credential: Secret | None
) -> Provider:
    """
    Create a provider; its credential is sealed and never given out again.

    Raises:
        Forbidden: The caller is not the platform.
        NotFound: There is no such vendor.
        NameTaken: There is a provider of this name.
        DialectUnsupported: The gateway does not speak its dialect.
        UpstreamAddressInvalid: `base_url` cannot be called.
        InvalidRequest: The vendor needs something that was not given.
    """
    caller.require(Verb.CREATE, "provider")
    draft = _filled(draft, has_credential=credential is not None)
    dialect = draft.dialect or "openai"
    if dialect not in DIALECTS:
        raise DialectUnsupported(dialect, DIALECTS)
    if await store.find(tx, draft.name) is not None:
        raise NameTaken("provider", draft.name)
    credential_id = ids.new("crd") if credential else None
    provider = Provider(
        id=ids.new("prv"),
        revision=1,
        created_at_ms=tx.now_ms,
        updated_at_ms=tx.now_ms,
        name=draft.name,
        vendor=draft.vendor,
        dialect=dialect,
        base_url=await reachable_url(tx, draft.base_url or ""),
        operator=draft.operator or "external",
        operations=draft.operations or OPERATIONS[dialect],
        credential_id=credential_id,
        header=draft.header,
        region=draft.region,
        max_data_class=draft.max_data_class or "public",
        handling=draft.handling,
        models=_models(draft.models),
    )
    await store.insert(tx, provider, _seal(tx, credential, credential_id))
    await _bump_credential(tx, provider)
    provider = await _priced(tx, provider, draft.models)
    await _note(tx, caller, provider, "created", {"base_url": provider.base_url})
    return provider


async def update(
    tx: Tx, caller: Principal, ref: str, changes: Mapping[str, Any], *, if_match: int | None
) -> Provider:
    """
    Change what `changes` names; a new credential replaces the former one.

    Raises:
        NotFound: There is none.
        Forbidden: The caller is not the platform.
        RevisionConflict: It is no longer at `if_match`.
        UpstreamAddressInvalid: `base_url` cannot be called.
    """
    provider = await read.get(tx, caller, ref, verb=Verb.UPDATE)
    revision.match(if_match, provider.revision)
    columns: dict[str, Any] = {name: changes[name] for name in _PLAIN if name in changes}
    if "base_url" in changes:
        columns["base_url"] = await reachable_url(tx, changes["base_url"])
    if "operations" in changes:
        columns["operations"] = [*(changes["operations"] or OPERATIONS[provider.dialect])]
    if "handling" in changes:
        columns["handling"] = replace(provider.handling, **changes["handling"]).document()
    if "credential" in changes:
        columns |= _rotated(tx, changes["credential"])
    await store.change(tx, provider, columns)
    if "models" in changes:
        await _replace_models(tx, provider, changes["models"])
    changed = await read.get(tx, caller, provider.id)
    await _bump_credential(tx, provider)
    await _bump_credential(tx, changed)
    await _tell(tx, provider.id)
    shown = {name: value for name, value in columns.items() if not name.startswith("credential")}
    shown |= {"credential": "replaced"} if "credential" in changes else {}
    shown |= {"models": [model.name for model in changed.models]} if "models" in changes else {}
    await _note(tx, caller, changed, "updated", shown)
    return changed


async def add_price(
    tx: Tx,
    caller: Principal,
    ref: str,
    model: str,
    draft: PriceDraft,
    *,
    if_match: int | None,
) -> tuple[Price, int]:
    """
    Add a price to a model, and return it with the provider's new revision.

    What was recorded before keeps the former price.

    A provider that lists no models takes a price for any.

    Raises:
        NotFound: There is no such provider.
        Forbidden: The caller is not the platform.
        RevisionConflict: It is no longer at `if_match`.
        InvalidRequest: The provider has no such model.
    """
    provider = await read.get(tx, caller, ref, verb=Verb.UPDATE)
    revision.match(if_match, provider.revision)
    if provider.models and provider.model(model) is None:
        known = [one.name for one in provider.models]
        hint = suggest.did_you_mean(model, known)
        raise InvalidRequest(
            f"The provider `{provider.name}` lists no model `{model}`.",
            fix=hint or "List it first: `PATCH` the provider's `models`.",
            findings=[Finding("#/model", "It is not listed.", hint)],
        )
    price = await prices.add(tx, provider.id, draft, model=model)
    await store.change(tx, provider, {})
    await _tell(tx, provider.id)
    added = {"model": model, "price": price.id, **price.amounts.written()}
    await _note(tx, caller, provider, "priced", added)
    return price, provider.revision + 1


async def delete(tx: Tx, caller: Principal, ref: str, *, if_match: int | None) -> None:
    """
    Delete a provider that no endpoint uses.

    Raises:
        NotFound: There is none.
        Forbidden: The caller is not the platform.
        RevisionConflict: It is no longer at `if_match`.
        InUse: Endpoints have targets with it.
    """
    provider = await read.get(tx, caller, ref, verb=Verb.DELETE)
    revision.match(if_match, provider.revision)
    await uses.ensure_none(tx, "provider", provider.id, provider.name)
    await store.delete_provider(tx, provider)
    await prices.withdraw(tx, [provider.id])
    await _bump_credential(tx, provider)
    await _note(tx, caller, provider, "deleted", None)


def _filled(draft: ProviderDraft, *, has_credential: bool) -> ProviderDraft:
    """Fill what was not declared from the vendor's row."""
    if draft.vendor is None:
        return draft if draft.base_url else _incomplete("base_url", "Give the API's address.")
    row = read.vendor(draft.vendor)
    if draft.base_url is None and row.needs_url:
        hint = f"Write it as `{row.base_url}`, with your own in place of the braces."
        return _incomplete("base_url", hint)
    if row.credential == "required" and not has_credential:
        return _incomplete("credential", f"{row.title} takes no call without one: {row.docs}")
    own = draft.handling
    usual = vars(Handling())
    ours: dict[str, Any] = {
        name: value for name, value in vars(own).items() if value != usual[name]
    }
    ours["headers"] = {**row.handling.headers, **own.headers}
    return replace(
        draft,
        dialect=draft.dialect or row.dialect,
        base_url=draft.base_url or row.base_url,
        operator=draft.operator or row.operator,
        operations=draft.operations or row.operations,
        header=draft.header or row.header,
        region=draft.region or row.region,
        max_data_class=draft.max_data_class or row.max_data_class,
        handling=replace(row.handling, **ours),
    )


def _incomplete(name: str, fix: str) -> ProviderDraft:
    raise InvalidRequest(
        f"The provider has no `{name}`.",
        fix=fix,
        findings=[Finding(f"#/{name}", "It is missing.", fix)],
    )


def _models(drafts: Sequence[ProviderModelDraft]) -> tuple[ProviderModel, ...]:
    return tuple(
        ProviderModel(draft.name, (), draft.context_length, draft.signature) for draft in drafts
    )


async def _replace_models(tx: Tx, provider: Provider, drafts: Sequence[ProviderModelDraft]) -> None:
    await store.replace_models(tx, provider.id, _models(drafts))
    kept = {draft.name for draft in drafts}
    gone = {model.name for model in provider.models} - kept
    await prices.withdraw_models(tx, provider.id, gone)
    await _priced(tx, provider, drafts)


async def _priced(tx: Tx, provider: Provider, drafts: Sequence[ProviderModelDraft]) -> Provider:
    """Declare the prices of models that have some in their draft."""
    found = {
        draft.name: await prices.declare(tx, provider.id, draft.prices, model=draft.name)
        for draft in drafts
        if draft.prices is not None
    }
    models = (replace(one, prices=found.get(one.name, one.prices)) for one in provider.models)
    return replace(provider, models=tuple(models))


async def _tell(tx: Tx, provider_id: str) -> None:
    for follow in _followers:
        await follow(tx, provider_id)


def _rotated(tx: Tx, credential: Secret | None) -> dict[str, Any]:
    credential_id = ids.new("crd") if credential else None
    sealed = _seal(tx, credential, credential_id)
    return {"credential_id": credential_id, "credential_sealed": sealed}


def _seal(tx: Tx, credential: Secret | None, credential_id: str | None) -> str | None:
    if credential is None or credential_id is None:
        return None
    return tx.sealer.seal(credential, id=credential_id)


async def _bump_credential(tx: Tx, provider: Provider) -> None:
    if provider.credential_id is not None:
        await revision.bump(tx, "credential", provider.credential_id)


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
