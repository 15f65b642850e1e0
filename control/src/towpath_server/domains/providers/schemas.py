"""Providers on the wire."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from towpath_server.core.secret import Secret
from towpath_server.domains.providers.models import (
    Price,
    Provider,
    ProviderModel,
    ProviderModelDraft,
    from_nano,
    to_nano,
)
from towpath_server.domains.providers.service import ProviderDraft
from towpath_server.web.schemas import In, Name, Out, Resource, at

_MAX_MODELS = 1_000  # more than any vendor lists


def _amount(value: str) -> str:
    to_nano(value)
    return value


Amount = Annotated[str, Field(max_length=40, examples=["0.15"]), AfterValidator(_amount)]
"""A decimal amount of the organisation's currency, in a string so that nothing is rounded."""

DataClass = Literal["public", "internal", "confidential", "restricted"]
HeaderName = Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,100}$")]
ModelName = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[!-~]+$")]


class PriceIn(In):
    """What a million tokens cost."""

    input_per_million: Amount
    output_per_million: Amount
    cached_input_per_million: Amount | None = None


class ProviderModelIn(In):
    """A model that the vendor offers."""

    name: ModelName
    price: PriceIn | None = None
    context_length: int | None = Field(None, ge=1, le=100_000_000)

    def draft(self) -> ProviderModelDraft:
        """Read it."""
        price = self.price
        cached = price.cached_input_per_million if price else None
        return ProviderModelDraft(
            name=self.name,
            input_nano=to_nano(price.input_per_million) if price else None,
            output_nano=to_nano(price.output_per_million) if price else None,
            cached_input_nano=to_nano(cached) if cached is not None else None,
            context_length=self.context_length,
        )


class _Changeable(In):
    header: HeaderName | None = Field(
        None, description="Header for the credential; absent: `Authorization: Bearer`."
    )
    region: str | None = Field(None, max_length=63)
    credential: Secret | None = Field(None, description="Sent upstream; sealed, never shown again.")
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

    @field_validator("credential")
    @classmethod
    def _sendable(cls, value: Secret | None) -> Secret | None:
        text = value.reveal() if value else ""
        if len(text) > 8_192 or not all(33 <= ord(letter) <= 126 for letter in text):
            raise ValueError("must be printable ASCII without spaces, at most 8192 characters")
        return value


class ProviderCreate(_Changeable):
    """A new provider."""

    name: Name
    dialect: str = Field("openai", max_length=63)
    base_url: str = Field(max_length=2_000, examples=["https://api.example.com/v1"])
    max_data_class: DataClass = "public"

    def draft(self) -> ProviderDraft:
        """Read it."""
        return ProviderDraft(
            name=self.name,
            dialect=self.dialect,
            base_url=self.base_url,
            credential=self.credential,
            header=self.header,
            region=self.region,
            max_data_class=self.max_data_class,
            models=tuple(model.draft() for model in self.models or ()),
        )


class ProviderUpdate(_Changeable):
    """What may change; what is absent stays. `credential` rotates it; `null` removes it."""

    base_url: str | None = Field(None, max_length=2_000)
    max_data_class: DataClass | None = None

    @model_validator(mode="after")
    def _kept(self) -> "ProviderUpdate":
        for name in ("base_url", "max_data_class"):
            if name in self.model_fields_set and getattr(self, name) is None:
                raise ValueError(f"`{name}` cannot be removed")
        return self

    def changes(self) -> dict[str, Any]:
        """Return what was sent."""
        found = {name: getattr(self, name) for name in self.model_fields_set}
        if "models" in found:
            found["models"] = tuple(model.draft() for model in self.models or ())
        return found


class PriceOut(Out):
    """What a million tokens cost."""

    id: str
    input_per_million: str
    output_per_million: str
    cached_input_per_million: str | None = None

    @classmethod
    def of(cls, price: Price) -> "PriceOut":
        """Write a price."""
        cached = price.cached_input_nano_per_million
        return cls(
            id=price.id,
            input_per_million=from_nano(price.input_nano_per_million),
            output_per_million=from_nano(price.output_nano_per_million),
            cached_input_per_million=None if cached is None else from_nano(cached),
        )


class ProviderModelOut(Out):
    """A model that the vendor offers."""

    name: str
    price: PriceOut | None
    context_length: int | None

    @classmethod
    def of(cls, model: ProviderModel) -> "ProviderModelOut":
        """Write a model."""
        price = PriceOut.of(model.price) if model.price else None
        return cls(name=model.name, price=price, context_length=model.context_length)


class ProviderOut(Resource):
    """A vendor's API; its credential stays inside."""

    name: str
    dialect: str
    base_url: str
    has_credential: bool
    header: str | None
    region: str | None
    max_data_class: str
    models: list[ProviderModelOut]

    @classmethod
    def of(cls, provider: Provider) -> "ProviderOut":
        """Write a provider."""
        return cls(
            id=provider.id,
            revision=provider.revision,
            created_at=at(provider.created_at_ms),
            updated_at=at(provider.updated_at_ms),
            name=provider.name,
            dialect=provider.dialect,
            base_url=provider.base_url,
            has_credential=provider.credential_id is not None,
            header=provider.header,
            region=provider.region,
            max_data_class=provider.max_data_class,
            models=[ProviderModelOut.of(model) for model in provider.models],
        )
