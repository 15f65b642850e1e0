"""How many replicas there is room for: in the team's quota, and on the machine."""

from dataclasses import dataclass

from towpath_server.adapters.compute import Capacity
from towpath_server.adapters.facilities import Facilities
from towpath_server.core.db import Tx
from towpath_server.domains.deployments.models import View
from towpath_server.domains.deployments.service.check.quota import draw
from towpath_server.domains.quotas import service as quotas
from towpath_server.domains.quotas.models import CPU, MEMORY, REPLICAS, held


@dataclass(frozen=True)
class Room:
    """How many replicas fit, and what there is no more of."""

    count: int
    limit: str


async def find(tx: Tx, view: View, facilities: Facilities, machine: Capacity) -> Room:
    """Return how many replicas of what serves fit beside what others hold."""
    deployment = view.deployment
    one = draw((view.serving or view.current).reserved)
    amounts, team = await quotas.allowed(
        tx, deployment.team_id, deployment.environment, facilities.quotas
    )
    every = [held for held in await quotas.taken(tx) if held.deployment_id != deployment.id]
    same = (deployment.team_id, deployment.environment)
    own = [other for other in every if (other.team_id, other.environment) == same]
    rooms = []
    for what in one.words():
        most = amounts.most(what)
        if most is not None:
            free = max(0, most - held(own, what))
            rooms.append(Room(free // one.of(what), f"quota of {team}: {what}"))
        there = _there(machine, what)
        if there is not None:
            free = max(0, there - held(every, what))
            rooms.append(Room(free // one.of(what), f"{what} of {machine.name}"))
    return min(rooms, key=lambda room: room.count)


def _there(machine: Capacity, what: str) -> int | None:
    """Return what a machine has of something, where it is not shared beyond that."""
    if what in {REPLICAS, CPU}:
        return None
    if what == MEMORY:
        return machine.memory_bytes
    return sum(gpu.gpu_class == what for gpu in machine.gpus)
