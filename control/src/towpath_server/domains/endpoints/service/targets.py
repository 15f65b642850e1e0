"""From declared targets to stored ones: what each names must be there, and be spoken to."""

from collections.abc import Sequence
from dataclasses import replace

from towpath_server.core import ids, suggest
from towpath_server.core.access import Principal, Verb
from towpath_server.core.db import Tx
from towpath_server.core.errors import Finding, TowpathError
from towpath_server.domains.endpoints.models import (
    OPENAI_OPERATIONS,
    STATIC_DIALECTS,
    Bound,
    Endpoint,
    StaticDraft,
    Target,
    TargetDraft,
    TargetKind,
    can_embed,
)
from towpath_server.domains.endpoints.store import targets as store
from towpath_server.domains.providers import service as providers
from towpath_server.domains.providers.errors import DialectUnsupported
from towpath_server.domains.providers.models import Price


class Resolver:
    """Reads the targets of one endpoint; collects what is wrong with any of them."""

    def __init__(self, tx: Tx, caller: Principal, endpoint: Endpoint) -> None:
        self._tx = tx
        self._caller = caller
        self._endpoint = endpoint
        self._former = {
            bound.target.id: bound.target for bound in (*endpoint.targets, *endpoint.fallback)
        }
        self.findings: list[Finding] = []
        self.fresh: list[tuple[Target, str | None]] = []
        """Targets to insert, each with its sealed credential."""

    async def chain(self, drafts: Sequence[TargetDraft], at: str) -> tuple[Bound, ...]:
        """Resolve targets in their order."""
        found: list[Bound] = []
        for index, draft in enumerate(drafts):
            place = f"{at}/{index}"
            target = await self._target(draft, place)
            if target is None:
                continue
            if any(bound.target.id == target.id for bound in found):
                detail = f"`{target.name}` is named twice."
                self.findings.append(Finding(place, detail, "Name it once, with one weight."))
                continue
            found.append(Bound(target, draft.weight))
        return tuple(found)

    async def _target(self, draft: TargetDraft, at: str) -> Target | None:
        if draft.deployment is not None:
            return await self._deployment(draft.deployment, at)
        if draft.static is not None:
            return await self._static(draft.static, at)
        return await self._provider(draft.provider or "", draft.model or "", at)

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
            operations=OPENAI_OPERATIONS,
        )
        self.fresh.append((target, None))
        return target

    async def _static(self, draft: StaticDraft, at: str) -> Target | None:
        if draft.dialect not in STATIC_DIALECTS:
            raise DialectUnsupported(draft.dialect, STATIC_DIALECTS)
        try:
            url = await providers.reachable_url(self._tx, draft.url)
        except TowpathError as error:
            self.findings.append(Finding(f"{at}/static/url", error.detail, error.fix))
            return None
        if draft.dialect == "kserve_v2" and draft.signature is None:
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
        )
        former = self._former_static(draft, url)
        if draft.credential is not None:
            credential_id = ids.new("crd")
            sealed = self._tx.sealer.seal(draft.credential, id=credential_id)
            target = replace(target, credential_id=credential_id)
        elif former is not None:
            return former
        if draft.price_nano is not None:
            target = replace(target, price=Price(ids.new("prc"), *draft.price_nano))
        self.fresh.append((target, sealed))
        return target

    def _former_static(self, draft: StaticDraft, url: str) -> Target | None:
        """Find the target that this draft describes unchanged; its credential is kept with it."""
        for former in self._former.values():
            price = former.price
            amounts = price and (price.input_nano_per_million, price.output_nano_per_million)
            same = (
                former.kind is TargetKind.STATIC
                and former.url == url
                and former.dialect == draft.dialect
                and former.upstream_model == draft.model
                and former.name == (draft.name or self._endpoint.name)
                and former.operations == _operations(draft)
                and former.signature == draft.signature
                and former.region == draft.region
                and former.max_data_class == draft.max_data_class
                and former.header == draft.header
                and former.context_length == draft.context_length
                and amounts == draft.price_nano
            )
            if same:
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


def _operations(draft: StaticDraft) -> tuple[str, ...]:
    if draft.operations is not None:
        return draft.operations
    if draft.dialect == "openai":
        return OPENAI_OPERATIONS
    return ("embeddings", "predict") if can_embed(draft.signature) else ("predict",)
