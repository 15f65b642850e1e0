"""What gateways say of both revisions of a rollout, added up over all of them."""

from collections.abc import Sequence

from towpath_server.core.db import Tx
from towpath_server.core.signals import TargetReport
from towpath_server.domains.deployments.models.rollout import Counts, Rollout
from towpath_server.domains.deployments.store import rollouts as store

Reports = Sequence[tuple[str, TargetReport]]


async def hear(tx: Tx, reports: Reports) -> None:
    """
    Take what a gateway says of targets in open rollouts; it is judged at once.

    Of what serves, only what comes after the gateway's first word counts; a target of the newer
    revision is there for the rollout alone. A gateway that begins anew has smaller numbers, and all
    of them are new.
    """
    wanted = await _wanted(tx, reports)
    told = [(id_, report) for id_, report in reports if id_ in wanted]
    known = await store.said(tx, {id_ for id_, _ in told}) if told else {}
    for id_, report in told:
        rollout, now = wanted[id_], Counts.said(report)
        last = known.get((report.gateway, id_))
        if last is not None:
            counted = last[1].plus(now.since(last[0]))
        else:
            counted = now if id_ == rollout.target else Counts()
        if last != (now, counted):
            await store.say(tx, (report.gateway, id_), rollout.deployment_id, (now, counted))
    for deployment_id in {rollout.deployment_id for rollout in wanted.values()}:
        tx.noted.append(("target", deployment_id))


async def concerns(tx: Tx, reports: Reports) -> bool:
    """Tell whether a target in an open rollout is among them."""
    return bool(await _wanted(tx, reports))


async def _wanted(tx: Tx, reports: Reports) -> dict[str, Rollout]:
    """Return the targets in open rollouts among those that a gateway speaks of."""
    owners = {id_.partition(".")[0] for id_, _ in reports if id_.startswith("dep_")}
    found = await store.open_(tx, owners) if owners else {}
    both = {id_: one for one in found.values() for id_ in (one.deployment_id, one.target)}
    return {id_: both[id_] for id_, _ in reports if id_ in both}
