"""The health of endpoints in answers."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from pydantic import Field

from towpath_server.domains.endpoints.models import Onward
from towpath_server.domains.endpoints.service import EndpointHealth, TargetHealth
from towpath_server.web.schemas import Out, at, at_or_none


class GatewayWordOut(Out):
    """When a gateway spoke last; it does so every second, and tells only what is not as usual."""

    id: str
    at: datetime
    age_ms: int


class ReplicaHealthOut(Out):
    """One replica, as one gateway meets it."""

    id: str
    gateway: str
    breaker: Literal["closed", "open", "half_open"] = Field(
        description="`closed`: it gets calls. `open`: none. `half_open`: one, to see."
    )
    in_flight: int
    latency_ms: float | None = Field(description="Moving mean.")
    failures: int = Field(description="In a row.")
    last_error: str | None
    last_error_at: datetime | None
    ejected_until: datetime | None


class TargetHealthOut(Out):
    """One target, as all gateways together meet it."""

    id: str
    kind: str
    name: str
    fallback: bool
    weight: int | None
    state: Literal["ok", "degraded", "ejected", "asleep", "down"] = Field(
        description="`degraded`: some replicas get no calls. `ejected`: none does. `asleep`: it is "
        "being woken. `down`: nothing of it runs."
    )
    note: str | None = Field(description="Why it is down.")
    in_flight: int
    queued: int
    running: int | None = Field(description="Replicas that run.")
    ejected_until: datetime | None = Field(
        description="When the first of its ejected replicas gets a call again."
    )
    replicas: list[ReplicaHealthOut] | None = Field(
        description="Those that gateways have spoken of. Null for callers of another team."
    )

    @classmethod
    def of(cls, health: TargetHealth) -> "TargetHealthOut":
        """Write a target's health."""
        place = health.place
        target = None if isinstance(place, Onward) else place.target
        replicas = health.replicas
        return cls(
            id=place.id if isinstance(place, Onward) else place.target.id,
            kind="endpoint" if target is None else target.kind,
            name=place.name if isinstance(place, Onward) else place.target.name,
            fallback=health.fallback,
            weight=None if health.fallback or isinstance(place, Onward) else place.weight,
            state=health.state,
            note=target.note if target is not None and not target.ready else None,
            in_flight=sum(report.in_flight for report in health.reports),
            queued=sum(report.queued for report in health.reports),
            running=health.running,
            ejected_until=at_or_none(health.ejected_until_ms),
            replicas=None
            if replicas is None
            else [
                ReplicaHealthOut(
                    id=one.id,
                    gateway=one.gateway,
                    breaker=one.report.breaker,
                    in_flight=one.report.in_flight,
                    latency_ms=one.report.latency_ms,
                    failures=one.report.failures,
                    last_error=one.report.last_error,
                    last_error_at=at_or_none(one.report.last_error_at_ms),
                    ejected_until=at_or_none(one.report.ejected_until_ms),
                )
                for one in replicas
            ],
        )


class EndpointHealthOut(Out):
    """How an endpoint's targets are, as the gateways said last."""

    id: str
    name: str
    environment: str
    state: Literal["ok", "degraded", "down"] = Field(
        description="`degraded`: some target does not answer. `down`: none does."
    )
    gateways: list[GatewayWordOut] = Field(description="Empty: none has spoken yet.")
    targets: list[TargetHealthOut]

    @classmethod
    def of(cls, health: EndpointHealth, *, now_ms: int) -> "EndpointHealthOut":
        """Write an endpoint's health as it is at a time."""
        return cls(
            id=health.endpoint.id,
            name=health.endpoint.name,
            environment=health.endpoint.environment,
            state=health.state,
            gateways=_words(health.gateways, now_ms),
            targets=[TargetHealthOut.of(target) for target in health.targets],
        )


def _words(gateways: Mapping[str, int], now_ms: int) -> list[GatewayWordOut]:
    return [
        GatewayWordOut(id=name, at=at(spoken), age_ms=max(0, now_ms - spoken))
        for name, spoken in sorted(gateways.items())
    ]
