"""Providers, their models, the catalogue of vendors, and what the gateway needs of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from towpath_server.core.money import Price, PriceDraft
from towpath_server.core.upstream import Handling

DIALECTS = ("openai", "anthropic", "kserve_v2", "kserve_grpc")
"""What the gateway speaks to upstreams."""

OPENAI_OPERATIONS = ("chat", "completions", "embeddings")
OPERATIONS: Mapping[str, tuple[str, ...]] = {
    "openai": OPENAI_OPERATIONS,
    "anthropic": ("chat", "count_tokens"),
    "kserve_v2": ("predict",),
    "kserve_grpc": ("predict",),
}
"""What an upstream answers, by dialect, where nobody said."""

DATA_CLASSES = ("public", "internal", "confidential", "restricted")


@dataclass(frozen=True)
class Credential:
    """A sealed secret for an upstream."""

    id: str
    sealed: str
    header: str | None = None
    """Name of the header it goes into; none: `Authorization: Bearer`."""


@dataclass(frozen=True)
class ProviderModel:
    """One model of a provider."""

    name: str
    prices: tuple[Price, ...] = ()
    context_length: int | None = None
    signature: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class ProviderModelDraft:
    """A provider's model as it is declared."""

    name: str
    prices: tuple[PriceDraft, ...] | None = None
    """None: what it has stays."""
    context_length: int | None = None
    signature: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class ProviderDraft:
    """A provider as it is declared; what is none is its vendor's, or the default."""

    name: str
    vendor: str | None = None
    dialect: str | None = None
    base_url: str | None = None
    operator: str | None = None
    operations: tuple[str, ...] | None = None
    header: str | None = None
    region: str | None = None
    max_data_class: str | None = None
    handling: Handling = field(default_factory=Handling)
    models: tuple[ProviderModelDraft, ...] = ()


@dataclass(frozen=True)
class Provider:
    """A vendor's API."""

    id: str
    revision: int
    created_at_ms: int
    updated_at_ms: int
    name: str
    vendor: str | None
    dialect: str
    base_url: str
    operator: str
    operations: tuple[str, ...]
    credential_id: str | None
    header: str | None
    region: str | None
    max_data_class: str
    handling: Handling = field(default_factory=Handling)
    models: tuple[ProviderModel, ...] = ()

    def model(self, name: str) -> ProviderModel | None:
        """Return a declared model."""
        return next((model for model in self.models if model.name == name), None)


@dataclass(frozen=True)
class Vendor:
    """A row of the catalogue: what is known of an API before anybody has declared a provider."""

    name: str
    title: str
    docs: str
    base_url: str
    """With `{…}` where every installation has its own."""
    dialect: str
    operations: tuple[str, ...]
    operator: str
    header: str | None
    """Header of the credential; none: `Authorization: Bearer`."""
    credential: str
    """`required`, `optional` or `none`."""
    region: str | None
    max_data_class: str
    handling: Handling
    metrics: str | None
    """Where it counts tokens itself, for `towpath usage reconcile`."""
    note: str | None

    @property
    def needs_url(self) -> bool:
        """Whether every installation has an address of its own."""
        return "{" in self.base_url
