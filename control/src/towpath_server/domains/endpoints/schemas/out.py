"""Endpoints in answers."""

from collections.abc import Sequence
from typing import Any

from pydantic import Field

from towpath_server.domains.endpoints.models import Bound, Endpoint, Onward, TargetKind
from towpath_server.domains.endpoints.schemas.serving import ServingOut, serving_out
from towpath_server.web.money import PriceOut
from towpath_server.web.schemas import Out, Resource, at
from towpath_server.web.upstream import handling_out


class TargetOut(Out):
    """A target and whether it can answer; in a fallback chain also another endpoint."""

    id: str
    kind: str = Field(description="`deployment`, `static`, `provider` or `endpoint`.")
    name: str
    weight: int | None = None
    model: str | None = None
    dialect: str | None = None
    url: str | None = None
    operations: list[str] = Field(default_factory=list)
    region: str | None = None
    max_data_class: str | None = None
    prices: list[PriceOut] = Field(default_factory=list)
    context_length: int | None = None
    max_concurrency: int | None = None
    queue: dict[str, Any] | None = None
    probe: dict[str, str] | None = None
    gpus: int | None = None
    quirks: list[str] = Field(default_factory=list)
    query: str | None = None
    headers: dict[str, str] = Field(default_factory=dict)
    ca_pem: str | None = None
    ready: bool
    note: str | None = None

    @classmethod
    def of(cls, place: Bound | Onward, *, weighted: bool) -> "TargetOut":
        """Write a target; credentials stay inside."""
        if isinstance(place, Onward):
            return cls(id=place.id, kind="endpoint", name=place.name, ready=place.ready)
        target = place.target
        return cls(
            id=target.id,
            kind=target.kind,
            name=target.name,
            weight=place.weight if weighted else None,
            model=target.upstream_model,
            dialect=target.dialect,
            url=target.url if target.kind is TargetKind.STATIC else None,
            operations=list(target.operations),
            region=target.region,
            max_data_class=target.max_data_class,
            prices=[PriceOut.of(price) for price in target.prices],
            context_length=target.context_length,
            ready=target.ready,
            note=target.note,
            **handling_out(target.handling),
        )


class AccessOut(Out):
    """Who may call."""

    visibility: str
    allow: list[dict[str, str]]
    callers: list[str]


class StatusOut(Out):
    """Whether it answers now, and if not, why."""

    ready: bool
    reason: str | None = None
    ejected: list[str] = Field(
        default_factory=list,
        description="Targets of which some gateway gives a replica no calls, as it said last.",
    )


class EndpointOut(Resource, ServingOut):
    """A name that callers use, in one environment."""

    name: str
    environment: str
    project: str | None
    kind: str = Field(description="`tiered` where it chooses between models, else `plain`.")
    deployment: str | None = Field(description="Id of the deployment that declares it.")
    access: AccessOut
    targets: list[TargetOut]
    fallback: list[TargetOut]
    status: StatusOut

    @classmethod
    def of(cls, endpoint: Endpoint, ejected: Sequence[str] = ()) -> "EndpointOut":
        """Write an endpoint; `ejected` are targets that some gateway avoids."""
        access = endpoint.access
        return cls(
            id=endpoint.id,
            revision=endpoint.revision,
            created_at=at(endpoint.created_at_ms),
            updated_at=at(endpoint.updated_at_ms),
            name=endpoint.name,
            environment=endpoint.environment,
            project=endpoint.project_path,
            kind="tiered" if endpoint.serving.tier else "plain",
            deployment=endpoint.deployment_id,
            access=AccessOut(
                visibility=access.visibility,
                allow=[{allow.kind: allow.name or allow.id} for allow in access.allow],
                callers=list(access.callers),
            ),
            targets=[TargetOut.of(bound, weighted=True) for bound in endpoint.targets],
            fallback=[TargetOut.of(place, weighted=False) for place in endpoint.fallback],
            status=StatusOut(ready=endpoint.ready, reason=endpoint.note, ejected=list(ejected)),
            **serving_out(endpoint.serving),
        )
