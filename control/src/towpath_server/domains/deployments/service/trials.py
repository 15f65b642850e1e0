"""
Trials: the smoke tests of a revision, asked through the gateway as any program asks.

While a trial runs, the routing table has each new replica under a name of its own, in a project
that exists in the table alone, with the one key that may call it. So nobody else sees the names,
and what is tested is what callers get: dialect, translation, signature and streams included.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Protocol, TypeVar

from towpath_server.core import ids as new_ids
from towpath_server.core import revision, tokens
from towpath_server.core.db import Tx
from towpath_server.core.secret import Secret
from towpath_server.domains.deployments.models import Replica, View
from towpath_server.domains.deployments.models.proving import OPEN, Result, Trial, TrialState
from towpath_server.domains.deployments.service import read
from towpath_server.domains.deployments.service.routed import target
from towpath_server.domains.deployments.store import deployments as deployment_store
from towpath_server.domains.deployments.store import trials as store
from towpath_server.domains.endpoints.models import RoutedEndpoint, RoutedTarget
from towpath_server.domains.evaluations.models import Outcome
from towpath_server.domains.keys.models import Environment, Key, Kind
from towpath_server.domains.projects.models import Project


class Named(Protocol):
    """Whatever has an id."""

    @property
    def id(self) -> str:
        """The id, by which entities are ordered."""
        ...


T = TypeVar("T", bound=Named)

_ONE_ATTEMPT = {"retries": {"attempts": 1}}  # another try would hide what the first one found


async def open_trial(tx: Tx, view: View) -> None:
    """Ask for the smoke tests of the newest revision."""
    made = Trial(
        id=new_ids.new("trl"),
        deployment_id=view.deployment.id,
        number=view.current.number,
        state=TrialState.WAITING,
        created_at_ms=tx.now_ms,
        replicas=view.wanted(view.current),
    )
    await store.insert(tx, made)
    await revision.bump(tx, "target", view.deployment.id)  # wakes what runs trials


async def open_trials(tx: Tx) -> Sequence[str]:
    """Return the ids of the trials that are not over, oldest first."""
    return [one.id for one in await store.open_(tx)]


async def trial(tx: Tx, trial_id: str) -> View | None:
    """Return the deployment of an open trial; none where there is nothing left to try."""
    found = await store.find(tx, trial_id)
    view = await read.load(tx, found.deployment_id) if found else None
    if found is None or view is None or view.trial != found or found.state not in OPEN:
        return None
    return view


async def begin_trial(
    tx: Tx, found: Trial, *, lasts_ms: int, sources: tuple[str, ...] | None
) -> Secret:
    """
    Let one new key call the replicas under test; its secret is returned this once.

    Args:
        sources: Networks that the platform calls from; none: any.
    """
    secret = tokens.mint("service")
    values = {
        "state": TrialState.RUNNING,
        "hash": tokens.digest(secret.reveal()),
        "sources": None if sources is None else [*sources],
        "expires_at_ms": tx.now_ms + lasts_ms,
    }
    await store.change(tx, found.id, values)
    await _tell(tx, found)
    return secret


async def hold_trial(tx: Tx, found: Trial, note: str) -> None:
    """Say what a trial waits for; until it goes on, nobody can call."""
    await store.change(tx, found.id, {"state": TrialState.WAITING, "note": note, **_CLOSED})
    await _tell(tx, found)


async def end_trial(tx: Tx, found: Trial, results: Sequence[Result]) -> None:
    """Write what the tests came to; from here on nobody can call."""
    good = all(result.outcome is Outcome.PASSED for result in results)
    await _end(tx, found, TrialState.PASSED if good else TrialState.FAILED, results)


async def withdraw_trials(tx: Tx, deployment_id: str) -> None:
    """End the trials of a deployment without a result: it has a newer revision, or is leaving."""
    for found in await store.open_(tx, deployment_id=deployment_id):
        await _end(tx, found, TrialState.WITHDRAWN, ())


def endpoint_name(trial_id: str, ordinal: int) -> str:
    """Return the name under which a replica under test is called."""
    return f"{trial_id.replace('_', '-')}-{ordinal}"


async def routed_projects(
    tx: Tx, *, ids: Collection[str] | None = None, after: str = "", limit: int = 5_000
) -> list[Project]:
    """List the projects of running trials, which the routing table alone has."""
    found = [_project(one, view) for one, view in await _running(tx)]
    return _page(found, ids, after, limit)


async def routed_keys(
    tx: Tx, *, ids: Collection[str] | None = None, after: str = "", limit: int = 5_000
) -> list[Key]:
    """List the keys of running trials, which the routing table alone has."""
    found = [_key(one, view) for one, view in await _running(tx)]
    return _page(found, ids, after, limit)


async def routed_trial_targets(
    tx: Tx, *, ids: Collection[str] | None = None, after: str = "", limit: int = 5_000
) -> list[RoutedTarget]:
    """List replicas under test as targets, one each and without a price."""
    found = [
        replace(
            target(view, view.current, [replica]),
            id=_part(one.id, replica.ordinal),
            prices=(),
        )
        for one, view in await _running(tx)
        for replica in _tested(view)
    ]
    return _page(found, ids, after, limit)


async def routed_trial_endpoints(
    tx: Tx, *, ids: Collection[str] | None = None, after: str = "", limit: int = 5_000
) -> list[RoutedEndpoint]:
    """List the names under which replicas under test are called."""
    found = [
        RoutedEndpoint(
            id=_part(one.id, replica.ordinal),
            name=endpoint_name(one.id, replica.ordinal),
            environment=view.deployment.environment,
            project=one.id,
            visibility="project",
            allow=(),
            callers=(view.deployment.environment,),
            targets=((_part(one.id, replica.ordinal), 1),),
            fallback=(),
            serving=_ONE_ATTEMPT,
            created_at_ms=one.created_at_ms,
        )
        for one, view in await _running(tx)
        for replica in _tested(view)
    ]
    return _page(found, ids, after, limit)


_CLOSED = {"hash": None, "sources": None, "expires_at_ms": None}


async def _end(tx: Tx, found: Trial, state: TrialState, results: Sequence[Result]) -> None:
    ended = {"state": state, "results": results, "note": None, "ended_at_ms": tx.now_ms}
    await store.change(tx, found.id, {**ended, **_CLOSED})
    await _tell(tx, found)
    await revision.bump(tx, "target", found.deployment_id)  # wakes who waits for the result


async def _tell(tx: Tx, found: Trial) -> None:
    for kind in ("project", "key"):
        await revision.bump(tx, kind, found.id)
    for ordinal in range(found.replicas):
        for kind in ("target", "endpoint"):
            await revision.bump(tx, kind, _part(found.id, ordinal))


async def _running(tx: Tx) -> list[tuple[Trial, View]]:
    """Return the trials that can be called, each with its deployment."""
    running = [one for one in await store.open_(tx) if one.hash is not None]
    wanted = [one.deployment_id for one in running]
    found = await deployment_store.rows(tx, wanted=wanted, live=True) if wanted else []
    views = {view.deployment.id: view for view in await read.views(tx, found)}
    return [
        (one, views[one.deployment_id])
        for one in running
        if one.deployment_id in views and views[one.deployment_id].trial == one
    ]


def _tested(view: View) -> list[Replica]:
    return [replica for replica in view.of(view.current.number) if replica.ready]


def _project(found: Trial, view: View) -> Project:
    return Project(
        id=found.id,
        revision=1,
        created_at_ms=found.created_at_ms,
        updated_at_ms=found.created_at_ms,
        team_id=view.deployment.team_id,
        name=endpoint_name(found.id, 0),
    )


def _key(found: Trial, view: View) -> Key:
    return Key(
        id=found.id,
        revision=1,
        created_at_ms=found.created_at_ms,
        updated_at_ms=found.created_at_ms,
        kind=Kind.SERVICE_ACCOUNT,
        team_id=view.deployment.team_id,
        project_id=found.id,
        environment=Environment(view.deployment.environment),
        name="smoke tests",
        hash=found.hash or "",
        hint="",
        scopes=("invoke",),
        sources=found.sources,
        expires_at_ms=found.expires_at_ms,
    )


def _page(found: Sequence[T], ids: Collection[str] | None, after: str, limit: int) -> list[T]:
    chosen = [one for one in found if (one.id > after if ids is None else one.id in ids)]
    return sorted(chosen, key=lambda one: one.id)[:limit]


def _part(trial_id: str, ordinal: int) -> str:
    return f"{trial_id}.{ordinal}"
