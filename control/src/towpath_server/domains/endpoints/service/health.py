"""
How an endpoint's targets are, as the gateways meet them.

The control plane knows what is declared and which replicas run; only the gateways know which of
them answer. This puts both together, with the age of the gateways' word.
"""

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from towpath_server.core.access import Principal, Verb
from towpath_server.core.db import Tx
from towpath_server.core.signals import Board, ReplicaReport, TargetReport
from towpath_server.domains.endpoints.models import Bound, Endpoint, Onward, Target, TargetKind
from towpath_server.domains.endpoints.service import read

Exposed = Callable[[Tx, Collection[str]], Awaitable[Mapping[str, Sequence[str]]]]
_exposed: list[Exposed] = []

TargetState = Literal["ok", "degraded", "ejected", "asleep", "down"]
EndpointState = Literal["ok", "degraded", "down"]


@dataclass(frozen=True)
class ReplicaHealth:
    """One replica, as one gateway meets it."""

    id: str
    gateway: str
    report: ReplicaReport


@dataclass(frozen=True)
class TargetHealth:
    """One target, as all gateways together meet it."""

    place: Bound | Onward
    fallback: bool
    state: TargetState
    """`ok`, `degraded` (some replicas get no calls), `ejected` (none does), `asleep` or `down`."""
    reports: Sequence[TargetReport] = ()
    running: int | None = None
    """Replicas that run; none where only somebody else knows."""
    replicas: Sequence[ReplicaHealth] | None = None
    """None where the caller may not see them."""

    @property
    def ejected_until_ms(self) -> int | None:
        """Return when the first of its ejected replicas gets a call again."""
        found = (
            one.ejected_until_ms for report in self.reports for one in report.replicas.values()
        )
        return min((until for until in found if until is not None), default=None)


@dataclass(frozen=True)
class EndpointHealth:
    """An endpoint's targets, and how old the gateways' word is."""

    endpoint: Endpoint
    state: EndpointState
    """`ok`, `degraded` (some target does not answer), or `down` (none does)."""
    targets: Sequence[TargetHealth]
    gateways: Mapping[str, int]
    """When each spoke last, in milliseconds."""


def exposes(ask: Exposed) -> Exposed:
    """Register who knows which replicas of deployments run, by id of the deployment."""
    _exposed.append(ask)
    return ask


async def health(
    tx: Tx, caller: Principal, ref: str, board: Board, *, environment: str | None = None
) -> EndpointHealth:
    """
    Say how an endpoint's targets are.

    Replicas and their errors are for those who may read the endpoint as their own: an error may
    tell of the machines behind it.

    Raises:
        NotFound: There is none that the caller may see.
        InvalidRequest: The name exists in several environments, and none was said.
    """
    endpoint = await read.get(tx, caller, ref, environment=environment)
    own = caller.may(Verb.READ, "endpoint", team=endpoint.team_id, project=endpoint.project_id)
    deployed = [
        bound.target.id for bound in endpoint.bound if bound.target.kind is TargetKind.DEPLOYMENT
    ]
    running: dict[str, Sequence[str]] = {}
    for ask in _exposed:
        running |= await ask(tx, deployed)
    places = [(one, False) for one in endpoint.targets] + [(one, True) for one in endpoint.fallback]
    targets = [
        _target(place, board, running, fallback=fallback, own=own) for place, fallback in places
    ]
    return EndpointHealth(endpoint, _together(targets), targets, board.gateways())


def ejected(endpoint: Endpoint, board: Board) -> list[str]:
    """Name the targets of which some gateway gives a replica no calls."""
    return [
        bound.target.name
        for bound in endpoint.bound
        if any(
            one.ejected
            for report in board.target(bound.target.id)
            for one in report.replicas.values()
        )
    ]


def _target(
    place: Bound | Onward,
    board: Board,
    running: Mapping[str, Sequence[str]],
    *,
    fallback: bool,
    own: bool,
) -> TargetHealth:
    if isinstance(place, Onward):
        return TargetHealth(place, fallback, "ok" if place.ready else "down")
    target = place.target
    ids = running.get(target.id) if target.kind is TargetKind.DEPLOYMENT else [target.id]
    reports = [_of_running(report, ids) for report in board.target(target.id)]
    replicas = [
        ReplicaHealth(id_, report.gateway, one)
        for report in reports
        for id_, one in sorted(report.replicas.items())
    ]
    return TargetHealth(
        place=place,
        fallback=fallback,
        state=_state(target, ids, reports),
        reports=reports,
        running=None if ids is None else len(ids),
        replicas=replicas if own else None,
    )


def _of_running(report: TargetReport, ids: Sequence[str] | None) -> TargetReport:
    """Leave out replicas that are gone: what was said of them concerns nobody."""
    if ids is None:
        return report
    kept = {id_: one for id_, one in report.replicas.items() if id_ in ids}
    return replace(report, replicas=kept)


def _state(
    target: Target, ids: Sequence[str] | None, reports: Sequence[TargetReport]
) -> TargetState:
    if any(report.waiting_for_wake for report in reports):
        return "asleep"
    if not target.ready:
        return "down"
    out = [{id_ for id_, one in report.replicas.items() if one.ejected} for report in reports]
    if not any(out):
        return "ok"
    everywhere = ids is not None and all(found >= set(ids) for found in out)
    return "ejected" if everywhere else "degraded"


def _together(targets: Sequence[TargetHealth]) -> EndpointState:
    first = [one for one in targets if not one.fallback]
    if all(one.state in {"down", "ejected"} for one in targets):
        return "down"
    return "ok" if all(one.state == "ok" for one in first) else "degraded"
