"""Endpoints, their targets, and what the gateway needs of both."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from towpath_server.core.money import Price, PriceDraft
from towpath_server.core.secret import Secret
from towpath_server.core.upstream import Handling
from towpath_server.domains.endpoints.models.serving import Serving, Timeouts

ENVIRONMENTS = ("sandbox", "staging", "production")
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
    prices: tuple[PriceDraft, ...] | None = None
    """None: what it has stays."""
    context_length: int | None = None
    handling: Handling = field(default_factory=Handling)


@dataclass(frozen=True)
class TargetDraft:
    """
    A target as it is declared: exactly one of deployment, provider, static and endpoint.

    An endpoint stands in a fallback chain alone.
    """

    deployment: str | None = None
    provider: str | None = None
    model: str | None = None
    static: StaticDraft | None = None
    endpoint: str | None = None
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
    serving: Serving = field(default_factory=Serving)


@dataclass(frozen=True)
class Shown:
    """What a deployment tells those who look at endpoints."""

    dialect: str
    model: str
    operations: tuple[str, ...]
    max_data_class: str
    context_length: int | None
    handling: Handling = field(default_factory=Handling)


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
    prices: tuple[Price, ...] = ()
    context_length: int | None = None
    handling: Handling = field(default_factory=Handling)
    ready: bool = True
    note: str | None = None
    """Why it is not ready."""


@dataclass(frozen=True)
class Bound:
    """A target in its place at an endpoint."""

    target: Target
    weight: int


@dataclass(frozen=True)
class Onward:
    """Another endpoint in a fallback chain: its targets, then its own fallbacks."""

    id: str
    name: str
    ready: bool = True
    """Whether one of its own targets can answer."""


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
    serving: Serving = field(default_factory=Serving)
    targets: tuple[Bound, ...] = ()
    fallback: tuple[Bound | Onward, ...] = ()
    project_path: str | None = None

    @property
    def bound(self) -> tuple[Bound, ...]:
        """Return its targets and those of its fallback chain, other endpoints' left out."""
        return (*self.targets, *(one for one in self.fallback if isinstance(one, Bound)))

    @property
    def ready(self) -> bool:
        """Tell whether anything behind it can answer."""
        onward = any(isinstance(one, Onward) and one.ready for one in self.fallback)
        return onward or any(bound.target.ready for bound in self.bound)

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
    fallback: tuple[tuple[str, str], ...]
    """(`target` or `endpoint`, id)."""
    serving: Mapping[str, Any]
    """Timeouts, balance, retries and the like: what differs from the gateway's defaults."""
    created_at_ms: int


@dataclass(frozen=True)
class Replica:
    """One listening server of a target."""

    id: str
    address: str
    credential: str | None = None


@dataclass(frozen=True)
class Candidate:
    """A newer revision of a target that gets a part of its calls."""

    target: str
    percent: int
    shadow_percent: int = 0
    """Of the calls that are answered by the target, so many are copied to it."""


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
    prices: tuple[str, ...] = ()
    context_length: int | None = None
    modalities: tuple[str, ...] = ()
    owned_by: str | None = None
    handling: Handling = field(default_factory=Handling)
    candidate: Candidate | None = None

    @property
    def callable(self) -> bool:
        """Whether a call is answered: by a replica, or once it has woken one."""
        return bool(self.replicas) or self.handling.cold_start is not None


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
