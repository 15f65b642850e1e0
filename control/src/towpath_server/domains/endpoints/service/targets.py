"""From declared targets to stored ones: what each names must be there, and be spoken to."""

from collections.abc import Sequence
from dataclasses import replace

from towpath_server.core import ids, suggest
from towpath_server.core.access import Principal, Verb
from towpath_server.core.db import Tx
from towpath_server.core.errors import Finding, TowpathError
from towpath_server.core.money import Price, PriceDraft
from towpath_server.domains.endpoints.models import (
    Bound,
    Endpoint,
    Onward,
    StaticDraft,
    Target,
    TargetDraft,
    TargetKind,
    can_embed,
)
from towpath_server.domains.endpoints.service import access
from towpath_server.domains.endpoints.store import endpoints as endpoint_store
from towpath_server.domains.endpoints.store import targets as store
from towpath_server.domains.prices import service as prices
from towpath_server.domains.providers import service as providers
from towpath_server.domains.providers.errors import DialectUnsupported
from towpath_server.domains.providers.models import DIALECTS, OPERATIONS


class Resolver:
    """Reads the targets of one endpoint; collects what is wrong with any of them."""

    def __init__(self, tx: Tx, caller: Principal, endpoint: Endpoint) -> None:
        self._tx = tx
        self._caller = caller
        self._endpoint = endpoint
        self._former = {bound.target.id: bound.target for bound in endpoint.bound}
        self.findings: list[Finding] = []
        self.fresh: list[tuple[Target, str | None]] = []
        """Targets to insert, each with its sealed credential."""
        self.priced: list[tuple[Target, StaticDraft]] = []
        """Static targets whose prices are declared, once they are there."""

    async def chain(self, drafts: Sequence[TargetDraft], at: str) -> tuple[Bound, ...]:
        """Resolve targets in their order."""
        found = [one for one in await self.fallback(drafts, at) if isinstance(one, Bound)]
        return tuple(found)

    async def fallback(self, drafts: Sequence[TargetDraft], at: str) -> tuple[Bound | Onward, ...]:
        """Resolve targets and other endpoints in their order."""
        found: list[Bound | Onward] = []
        for index, draft in enumerate(drafts):
            place = f"{at}/{index}"
            one = await self._place(draft, place)
            if one is None:
                continue
            if any(_id(known) == _id(one) for known in found):
                name = one.name if isinstance(one, Onward) else one.target.name
                detail = f"`{name}` is named twice."
                self.findings.append(Finding(place, detail, "Name it once."))
                continue
            found.append(one)
        return tuple(found)

    async def _place(self, draft: TargetDraft, at: str) -> Bound | Onward | None:
        if draft.endpoint is not None:
            return await self._onward(draft.endpoint, at)
        target = await self._target(draft, at)
        return Bound(target, draft.weight) if target else None

    async def _target(self, draft: TargetDraft, at: str) -> Target | None:
        if draft.deployment is not None:
            return await self._deployment(draft.deployment, at)
        if draft.static is not None:
            return await self._static(draft.static, at)
        return await self._provider(draft.provider or "", draft.model or "", at)

    async def _onward(self, ref: str, at: str) -> Onward | None:
        """Find another endpoint that this one's callers may be served by."""
        endpoint, place = self._endpoint, f"{at}/endpoint"
        if ref in {endpoint.name, endpoint.id}:
            detail = f"`{endpoint.name}` cannot fall back to itself."
            self.findings.append(Finding(place, detail, "Name another endpoint, or leave it out."))
            return None
        found = [
            one
            for one in await endpoint_store.find(self._tx, ref, endpoint.environment)
            if one.environment == endpoint.environment
            and (
                access.sees(one, self._caller)
                or self._caller.may(Verb.READ, "endpoint", team=one.team_id, project=one.project_id)
            )
        ]
        if not found:
            known = await endpoint_store.names_in(self._tx, endpoint.environment)
            hint = suggest.did_you_mean(ref, known) if self._caller.platform_role else None
            detail = f"There is no endpoint `{ref}` in {endpoint.environment} that you may use."
            self.findings.append(Finding(place, detail, hint or "Create it first, or share it."))
            return None
        other = found[0]
        if not access.admits(other, endpoint):
            detail = f"Callers of `{endpoint.name}` may not call `{other.name}`."
            fix = f"Its owner allows them: `access.allow` of `{other.name}`."
            self.findings.append(Finding(place, detail, fix))
            return None
        return Onward(other.id, other.name, ready=any(b.target.ready for b in other.targets))

    async def _deployment(self, name: str, at: str) -> Target | None:
        endpoint = self._endpoint
        known = await store.deployments(self._tx, endpoint.environment, endpoint.team_id)
        visible = [
            target
            for target in known
            if self._caller.may(
                Verb.READ, "deployment", team=target.team_id, project=target.project_id
            )
        ]
        for target in visible:
            if name in {target.name, target.id}:
                return target
        hint = suggest.did_you_mean(name, [target.name for target in visible])
        detail = f"There is no deployment `{name}` in {endpoint.environment} that you may use here."
        self.findings.append(
            Finding(f"{at}/deployment", detail, hint or "Deploy it first: `towpath deploy`.")
        )
        return None

    async def _provider(self, ref: str, model: str, at: str) -> Target | None:
        provider = await providers.find(self._tx, ref)
        if provider is None:
            hint = suggest.did_you_mean(ref, await providers.names(self._tx))
            detail = f"There is no provider `{ref}`."
            self.findings.append(Finding(f"{at}/provider", detail, hint))
            return None
        if provider.models and provider.model(model) is None:
            offered = [known.name for known in provider.models]
            hint = suggest.did_you_mean(model, offered)
            listed = ", ".join(f"`{name}`" for name in offered[:10])
            detail = f"The provider `{provider.name}` has no model `{model}`."
            self.findings.append(Finding(f"{at}/model", detail, hint or f"It has {listed}."))
            return None
        for former in self._former.values():
            if (former.provider_id, former.upstream_model) == (provider.id, model):
                return former
        target = replace(
            self._blank(TargetKind.PROVIDER, f"{provider.name}/{model}"),
            provider_id=provider.id,
            dialect=provider.dialect,
            upstream_model=model,
            operations=provider.operations,
        )
        self.fresh.append((target, None))
        return target

    async def _static(self, draft: StaticDraft, at: str) -> Target | None:
        if draft.dialect not in DIALECTS:
            raise DialectUnsupported(draft.dialect, DIALECTS)
        try:
            url = await providers.reachable_url(self._tx, draft.url)
        except TowpathError as error:
            self.findings.append(Finding(f"{at}/static/url", error.detail, error.fix))
            return None
        if draft.dialect.startswith("kserve") and draft.signature is None:
            self.findings.append(
                Finding(
                    f"{at}/static/signature",
                    "A KServe V2 server is called through a signature, and there is none.",
                    f"Give the inputs and outputs that `GET {url}/v2/models/{draft.model}` lists.",
                )
            )
            return None
        sealed = None
        target = replace(
            self._blank(TargetKind.STATIC, draft.name or self._endpoint.name),
            dialect=draft.dialect,
            url=url,
            upstream_model=draft.model,
            operations=_operations(draft),
            signature=draft.signature,
            region=draft.region,
            max_data_class=draft.max_data_class,
            header=draft.header,
            context_length=draft.context_length,
            handling=draft.handling,
        )
        former = self._former_static(target)
        if draft.credential is not None:
            credential_id = ids.new("crd")
            sealed = self._tx.sealer.seal(draft.credential, id=credential_id)
            target = replace(target, credential_id=credential_id)
        elif former is not None:
            self.priced.append((former, draft))
            return former
        self.fresh.append((target, sealed))
        self.priced.append((target, self._with_former_prices(draft, target)))
        return target

    def _with_former_prices(self, draft: StaticDraft, target: Target) -> StaticDraft:
        """Let a target that has changed keep what the former one of its name cost."""
        if draft.prices is not None:
            return draft
        same = (one for one in self._former.values() if one.name == target.name)
        former = next((one for one in same if one.kind is TargetKind.STATIC), None)
        kept = former.prices if former else ()
        return replace(draft, prices=tuple(PriceDraft(p.amounts, p.from_ms) for p in kept))

    def _former_static(self, wanted: Target) -> Target | None:
        """Find the target that is as wanted; its credential and its prices are kept with it."""
        for former in self._former.values():
            same = replace(
                wanted,
                id=former.id,
                credential_id=former.credential_id,
                prices=former.prices,
                ready=former.ready,
                note=former.note,
            )
            if same == former:
                return former
        return None

    def _blank(self, kind: TargetKind, name: str) -> Target:
        endpoint = self._endpoint
        return Target(
            id=ids.new("tgt"),
            kind=kind,
            name=name,
            environment=endpoint.environment,
            team_id=endpoint.team_id,
            project_id=endpoint.project_id,
            endpoint_id=endpoint.id,
        )


async def price(tx: Tx, resolver: Resolver) -> dict[str, tuple[Price, ...]]:
    """Declare the prices of static targets that name some; return them by target."""
    return {
        target.id: await prices.declare(tx, target.id, draft.prices)
        for target, draft in resolver.priced
        if draft.prices is not None
    }


def _id(one: Bound | Onward) -> str:
    return one.id if isinstance(one, Onward) else one.target.id


def _operations(draft: StaticDraft) -> tuple[str, ...]:
    if draft.operations is not None:
        return draft.operations
    if draft.dialect.startswith("kserve") and can_embed(draft.signature):
        return ("embeddings", "predict")
    return OPERATIONS[draft.dialect]
