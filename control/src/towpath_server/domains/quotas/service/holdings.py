"""
What is held: asked of those who hold it, each time.

Nothing is booked here, so nothing can drift: deployments answer from their own rows.
"""

from collections.abc import Awaitable, Sequence
from typing import Protocol

from towpath_server.core.access import Principal, Verb
from towpath_server.core.db import Tx
from towpath_server.domains.quotas.models import CPU, MEMORY, REPLICAS, Draw, Holding, held


class Source(Protocol):
    """Lists what is held: by everybody, by a team, or by a team in one environment."""

    def __call__(
        self, tx: Tx, *, team_id: str | None, environment: str | None
    ) -> Awaitable[Sequence[Holding]]:
        """List it."""
        ...


_sources: list[Source] = []


def source(function: Source) -> Source:
    """Register who holds capacity."""
    _sources.append(function)
    return function


async def taken(
    tx: Tx, *, team_id: str | None = None, environment: str | None = None
) -> Sequence[Holding]:
    """List what is held, the largest number of replicas first."""
    found = [
        holding
        for ask in _sources
        for holding in await ask(tx, team_id=team_id, environment=environment)
    ]
    return sorted(found, key=lambda one: (-one.draw.replicas, one.name))


def total(holdings: Sequence[Holding]) -> Draw:
    """Sum up."""
    classes = {name for one in holdings for name in one.draw.gpus}
    return Draw(
        held(holdings, REPLICAS),
        held(holdings, CPU),
        held(holdings, MEMORY),
        {name: held(holdings, name) for name in sorted(classes)},
    )


def may_see(caller: Principal, holding: Holding) -> bool:
    """Tell whether the caller may know the deployment that holds it."""
    return caller.may(Verb.READ, "deployment", team=holding.team_id, project=holding.project_id)
