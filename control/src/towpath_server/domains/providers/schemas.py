"""Providers and vendors on the wire."""

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, field_validator, model_validator

from towpath_server.core.money import Price
from towpath_server.domains.providers.models import (
    Provider,
    ProviderDraft,
    ProviderModel,
    ProviderModelDraft,
    Vendor,
)
from towpath_server.web.money import AmountsIn, PriceOut, Prices, fields_of
from towpath_server.web.schemas import In, Name, Out, Resource, SignatureIn, at
from towpath_server.web.upstream import (
    Credential,
    HandlingIn,
    HeaderName,
    handling_changes,
    handling_out,
)

_MAX_MODELS = 1_000  # more than any vendor lists

DataClass = Literal["public", "internal", "confidential", "restricted"]
Operator = Literal["internal", "external"]
Operation = Literal[
    "chat", "completions", "embeddings", "predict", "rerank", "transcriptions", "count_tokens"
]
ModelName = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[!-~]+$")]


class ProviderModelIn(In):
    """A model that the vendor offers."""

    name: ModelName
    prices: Prices | None = Field(
        None, description="What it costs. Absent: what was declared stays; `[]`: nothing is known."
    )
    context_length: int | None = Field(
        None,
        ge=1,
        le=100_000_000,
        description="Largest context in tokens; a request that cannot fit is refused before it is "
        "sent, or goes to a fallback.",
    )
    signature: SignatureIn | None = Field(
        None, description="Inputs and outputs; for the KServe dialects."
    )

    def draft(self) -> ProviderModelDraft:
        """Read it."""
        prices = None if self.prices is None else tuple(price.draft() for price in self.prices)
        signature = self.signature.model_dump() if self.signature else None
        return ProviderModelDraft(self.name, prices, self.context_length, signature)


class _Changeable(HandlingIn):
    operator: Operator | None = Field(
        None,
        description="`internal`: the organisation runs it. Default: the vendor's, else `external`.",
    )
    operations: list[Operation] | None = Field(
        None, min_length=1, description="What it answers. Default: what its dialect has."
    )
    header: HeaderName | None = Field(
        None, description="Header for the credential; absent: `Authorization: Bearer`."
    )
    region: str | None = Field(None, max_length=63)
    credential: Credential | None = None
    models: list[ProviderModelIn] | None = Field(
        None, max_length=_MAX_MODELS, description="With it, only these models may be used."
    )

    @field_validator("models")
    @classmethod
    def _once(cls, value: list[ProviderModelIn] | None) -> list[ProviderModelIn] | None:
        names = [model.name for model in value or ()]
        if len(set(names)) != len(names):
            raise ValueError("a model is named twice")
        return value


class ProviderCreate(_Changeable):
    """A new provider; with a `vendor`, what is absent is filled from the catalogue."""

    name: Name
    vendor: Name | None = Field(
        None, description="A row of `GET /api/v1/vendors`.", examples=["anthropic"]
    )
    dialect: str | None = Field(
        None, max_length=63, description="Default: the vendor's, else `openai`."
    )
    base_url: str | None = Field(
        None,
        max_length=2_000,
        examples=["https://api.example.com/v1"],
        description="As the dialect's clients take it. Default: the vendor's.",
    )
    max_data_class: DataClass | None = Field(
        None,
        description="The most sensitive data it may receive. Default: `public`, so that nothing "
        "leaves the house unsaid.",
    )

    def draft(self) -> ProviderDraft:
        """Read it, without its credential."""
        return ProviderDraft(
            name=self.name,
            vendor=self.vendor,
            dialect=self.dialect,
            base_url=self.base_url,
            operator=self.operator,
            operations=tuple(dict.fromkeys(self.operations)) if self.operations else None,
            header=self.header,
            region=self.region,
            max_data_class=self.max_data_class,
            handling=self.handling(),
            models=tuple(model.draft() for model in self.models or ()),
        )


class ProviderUpdate(_Changeable):
    """What may change; what is absent stays. `credential` rotates it; `null` removes it."""

    base_url: str | None = Field(None, max_length=2_000)
    max_data_class: DataClass | None = None

    @model_validator(mode="after")
    def _kept(self) -> "ProviderUpdate":
        for name in ("base_url", "max_data_class", "operator"):
            if name in self.model_fields_set and getattr(self, name) is None:
                raise ValueError(f"`{name}` cannot be removed")
        return self

    def changes(self) -> dict[str, Any]:
        """Return what was sent."""
        found = {name: getattr(self, name) for name in self.model_fields_set}
        handling = handling_changes(self)
        found = {name: value for name, value in found.items() if name not in handling}
        if handling:
            found["handling"] = handling
        if "models" in found:
            found["models"] = tuple(model.draft() for model in self.models or ())
        return found


class ProviderPriceIn(AmountsIn):
    """What a model costs from a time on; from now on where `from` is absent."""

    model: ModelName = Field(description="The provider's name of the model.")


class ProviderPriceOut(PriceOut):
    """A price that was added."""

    revision: int = Field(description="Of the provider, which has changed with it; the `ETag`.")

    @classmethod
    def added(cls, price: Price, revision: int) -> "ProviderPriceOut":
        """Write a price with its provider's revision."""
        return cls.model_validate(fields_of(price) | {"revision": revision})


class ProviderModelOut(Out):
    """A model that the vendor offers."""

    name: str
    prices: list[PriceOut]
    context_length: int | None
    signature: dict[str, Any] | None

    @classmethod
    def of(cls, model: ProviderModel) -> "ProviderModelOut":
        """Write a model."""
        return cls(
            name=model.name,
            prices=[PriceOut.of(price) for price in model.prices],
            context_length=model.context_length,
            signature=dict(model.signature) if model.signature else None,
        )


class ProviderOut(Resource):
    """A vendor's API; its credential stays inside."""

    name: str
    vendor: str | None
    dialect: str
    base_url: str
    operator: str
    operations: list[str]
    has_credential: bool
    header: str | None
    region: str | None
    max_data_class: str
    max_concurrency: int | None
    queue: dict[str, Any] | None
    probe: dict[str, str] | None
    quirks: list[str]
    query: str | None
    headers: dict[str, str]
    ca_pem: str | None
    models: list[ProviderModelOut]

    @classmethod
    def of(cls, provider: Provider) -> "ProviderOut":
        """Write a provider."""
        handling = handling_out(provider.handling)
        handling.pop("gpus")
        return cls(
            id=provider.id,
            revision=provider.revision,
            created_at=at(provider.created_at_ms),
            updated_at=at(provider.updated_at_ms),
            name=provider.name,
            vendor=provider.vendor,
            dialect=provider.dialect,
            base_url=provider.base_url,
            operator=provider.operator,
            operations=list(provider.operations),
            has_credential=provider.credential_id is not None,
            header=provider.header,
            region=provider.region,
            max_data_class=provider.max_data_class,
            models=[ProviderModelOut.of(model) for model in provider.models],
            **handling,
        )


class VendorOut(Out):
    """What the platform knows of an API before anybody has declared a provider."""

    name: str
    title: str
    docs: str
    base_url: str = Field(description="`{…}` is what every installation has of its own.")
    dialect: str
    spoken: bool = Field(description="Whether the gateway speaks the dialect yet.")
    operations: list[str]
    operator: str
    credential: Literal["required", "optional", "none"]
    header: str | None = Field(description="Absent: `Authorization: Bearer`.")
    region: str | None
    max_data_class: str
    quirks: list[str]
    headers: dict[str, str]
    query: str | None
    probe: str | None
    metrics: str | None = Field(description="Where it counts tokens itself.")
    note: str | None

    @classmethod
    def of(cls, vendor: Vendor, *, spoken: bool) -> "VendorOut":
        """Write a row."""
        handling = vendor.handling
        return cls.model_validate(
            {
                **{
                    name: getattr(vendor, name)
                    for name in cls.model_fields
                    if name not in {"spoken", "operations", "quirks", "headers", "query", "probe"}
                },
                "spoken": spoken,
                "operations": list(vendor.operations),
                "quirks": list(handling.quirks),
                "headers": dict(handling.headers),
                "query": handling.query,
                "probe": handling.probe.path if handling.probe else None,
            }
        )
