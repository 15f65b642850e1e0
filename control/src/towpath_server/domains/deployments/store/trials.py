"""Queries of trials: the smoke tests of revisions."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import select, update

from towpath_server.core.db import Tx
from towpath_server.domains.deployments.models.proving import OPEN, Trial, TrialState
from towpath_server.domains.deployments.store.deployments import of_newest, result
from towpath_server.domains.deployments.tables import deployment_trials


async def insert(tx: Tx, trial: Trial) -> None:
    """Add a trial."""
    await tx.execute(deployment_trials.insert().values(**asdict(trial)))


async def change(tx: Tx, trial_id: str, values: Mapping[str, Any]) -> None:
    """Write how far a trial is."""
    written = dict(values)
    if "results" in written:
        written["results"] = [asdict(one) for one in written["results"]]
    columns = deployment_trials.c
    await tx.execute(update(deployment_trials).where(columns.id == trial_id).values(**written))


async def find(tx: Tx, trial_id: str) -> Trial | None:
    """Find a trial by id."""
    query = select(deployment_trials).where(deployment_trials.c.id == trial_id)
    row = (await tx.execute(query)).first()
    return _trial(row) if row else None


async def newest(tx: Tx, deployment_ids: Collection[str]) -> dict[str, Trial]:
    """Return the trials of the newest revisions, by deployment."""
    query = of_newest(deployment_trials, deployment_ids)
    return {row.deployment_id: _trial(row) for row in await tx.execute(query)}


async def open_(tx: Tx, *, deployment_id: str | None = None) -> Sequence[Trial]:
    """List the trials that are not over, oldest first; there are as many as deployments begin."""
    columns = deployment_trials.c
    query = select(deployment_trials).where(columns.state.in_(OPEN)).order_by(columns.id)
    if deployment_id is not None:
        query = query.where(columns.deployment_id == deployment_id)
    return [_trial(row) for row in await tx.execute(query)]


def _trial(row: Any) -> Trial:
    fields: dict[str, Any] = row._asdict()
    fields["state"] = TrialState(row.state)
    fields["results"] = tuple(result(one) for one in row.results)
    fields["sources"] = None if row.sources is None else tuple(row.sources)
    return Trial(**fields)
