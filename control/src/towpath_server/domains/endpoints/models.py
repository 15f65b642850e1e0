"""Endpoints, their targets, and what the gateway needs of both."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from towpath_server.core.secret import Secret
from towpath_server.domains.providers.models import Price

ENVIRONMENTS = ("sandbox", "staging", "production")
OPENAI_OPERATIONS = ("chat", "completions", "embeddings")
STATIC_DIALECTS = ("openai", "kserve_v2")
EMBEDDING_OUTPUTS = {"embedding", "embeddings", "sentence_embedding"}


class Visibility(enum.StrEnum):
    """Who sees an endpoint."""

    PROJECT = "project"
    TEAM = "team"
    ORGANIZATION = "organization"


class TargetKind(enum.StrEnum):
    """What stands behind an endpoint."""

    DEPLOYMENT = "deployment"
    STATIC = "static"
    PROVIDER = "provider"


@dataclass(frozen=True)
class Timeouts:
    """How long each phase of a call may take; what is not set is the gateway's default."""

    connect_ms: int | None = None
    first_byte_ms: int | None = None
    silence_ms: int | None = None
    total_ms: int | None = None

    def given(self) -> dict[str, int]:
        """Return what is set."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True)
class Allow:
    """One more team or project that may call an endpoint."""

    kind: str
    id: str
    name: str = ""


@dataclass(frozen=True)
class AccessDraft:
    """Who may call, as it is declared; teams and projects by the caller's words."""

    visibility: Visibility | None = None
    allow: tuple[tuple[str, str], ...] = ()
    """(`team` or `project`, reference)."""
    callers: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Access:
    """Who may call."""

    visibility: Visibility
    allow: tuple[Allow, ...] = ()
    callers: tuple[str, ...] = ()


@dataclass(frozen=True)
class StaticDraft:
    """An inference server of the organisation's own, as it is declared."""

    url: str
    dialect: str
    model: str
    name: str | None = None
    credential: Secret | None = None
    header: str | None = None
    region: str | None = None
    max_data_class: str = "public"
    operations: tuple[str, ...] | None = None
    signature: Mapping[str, Any] | None = None
    price_nano: tuple[int, int] | None = None
    context_length: int | None = None


@dataclass(frozen=True)
class TargetDraft:
    """A target as it is declared: exactly one of deployment, provider and static."""

    deployment: str | None = None
    provider: str | None = None
    model: str | None = None
    static: StaticDraft | None = None
    weight: int = 100


@dataclass(frozen=True)
class EndpointDraft:
    """An endpoint as it is declared."""

    name: str
    environment: str
    project: str | None
    targets: tuple[TargetDraft, ...]
    fallback: tuple[TargetDraft, ...] = ()
    access: AccessDraft = field(default_factory=AccessDraft)
    timeouts: Timeouts = field(default_factory=Timeouts)


@dataclass(frozen=True)
class Shown:
    """What a deployment tells those who look at endpoints."""

    dialect: str
    model: str
    operations: tuple[str, ...]
    max_data_class: str
    context_length: int | None


@dataclass(frozen=True)
class Declaration:
    """What a deployment says of the endpoint of its own name."""

    deployment_id: str
    name: str
    environment: str
    team_id: str
    project_id: str
    access: AccessDraft
    timeouts: Timeouts
    shown: Shown | None = None
    """None while it is only checked."""


@dataclass(frozen=True)
class Target:
    """What stands behind an endpoint, as it is stored."""

    id: str
    kind: TargetKind
    name: str
    environment: str
    team_id: str | None
    project_id: str | None
    endpoint_id: str | None = None
    """The endpoint it belongs to; a deployment belongs to none."""
    provider_id: str | None = None
    dialect: str | None = None
    url: str | None = None
    upstream_model: str | None = None
    operations: tuple[str, ...] = ()
    signature: Mapping[str, Any] | None = None
    region: str | None = None
    max_data_class: str = "public"
    credential_id: str | None = None
    header: str | None = None
    price: Price | None = None
    context_length: int | None = None
    ready: bool = True
    note: str | None = None
    """Why it is not ready."""


@dataclass(frozen=True)
class Bound:
    """A target in its place at an endpoint."""

    target: Target
    weight: int


@dataclass(frozen=True)
class Endpoint:
    """A name in one environment."""

    id: str
    revision: int
    created_at_ms: int
    updated_at_ms: int
    name: str
    environment: str
    team_id: str | None
    project_id: str | None
    deployment_id: str | None
    """The deployment that declares it, where one does."""
    access: Access
    timeouts: Timeouts
    targets: tuple[Bound, ...] = ()
    fallback: tuple[Bound, ...] = ()
    project_path: str | None = None

    @property
    def ready(self) -> bool:
        """Tell whether anything behind it can answer."""
        return any(bound.target.ready for bound in (*self.targets, *self.fallback))

    @property
    def note(self) -> str | None:
        """Say why nothing can answer."""
        if self.ready:
            return None
        reasons = [f"{b.target.name}: {b.target.note}" for b in self.targets if b.target.note]
        return "; ".join(reasons) or "None of its targets is ready."


@dataclass(frozen=True)
class RoutedEndpoint:
    """An endpoint as the gateway needs it; the fields are those of the routing table."""

    id: str
    name: str
    environment: str
    project: str | None
    visibility: str
    allow: tuple[tuple[str, str], ...]
    callers: tuple[str, ...]
    targets: tuple[tuple[str, int], ...]
    fallback: tuple[str, ...]
    timeouts: Mapping[str, int]
    created_at_ms: int


@dataclass(frozen=True)
class Replica:
    """One listening server of a target."""

    id: str
    address: str
    credential: str | None = None


@dataclass(frozen=True)
class RoutedTarget:
    """A target as the gateway needs it; the fields are those of the routing table."""

    id: str
    name: str
    kind: str
    dialect: str
    replicas: tuple[Replica, ...]
    upstream_model: str
    operations: tuple[str, ...]
    credential: str | None = None
    provider: str | None = None
    model: Mapping[str, Any] | None = None
    """`{"name", "version", "digest"}`"""
    signature: Mapping[str, Any] | None = None
    request_fields: Mapping[str, Mapping[str, float]] | None = None
    region: str | None = None
    operator: str = "internal"
    max_data_class: str = "public"
    price: str | None = None
    context_length: int | None = None
    modalities: tuple[str, ...] = ()
    owned_by: str | None = None


def can_embed(signature: Mapping[str, Any] | None) -> bool:
    """
    Tell whether a signature is that of an embedding model.

    One text in, and an output of floats that is called what embedding models call it.
    """
    if signature is None or len(signature["inputs"]) != 1:
        return False
    takes_text = signature["inputs"][0]["datatype"] == "BYTES"
    gives_vector = any(
        output["name"] in EMBEDDING_OUTPUTS
        and output["datatype"].startswith("FP")
        and len(output["shape"]) == 2
        for output in signature["outputs"]
    )
    return takes_text and gives_vector
