"""Is there room in what the team may reserve in this environment."""

from collections.abc import Sequence
from dataclasses import dataclass

from towpath_server.core import quantity
from towpath_server.core.access import Principal
from towpath_server.core.clock import from_ms
from towpath_server.domains.deployments.models import Reservation
from towpath_server.domains.deployments.service.check.inquiry import Inquiry
from towpath_server.domains.quotas import service as quotas
from towpath_server.domains.quotas.models import (
    CPU,
    MEMORY,
    REPLICAS,
    Amounts,
    Draw,
    Holding,
    held,
)

_SHOWN = 5  # names of holders in a message; more would not help
_PATHS = {
    REPLICAS: "#/spec/scaling/maxReplicas",
    CPU: "#/spec/resources/requests/cpu",
    MEMORY: "#/spec/resources/requests/memory",
}
_GPUS = "#/spec/resources/limits/nvidia.com~1"


@dataclass(frozen=True)
class _Room:
    """What may be reserved, what others hold of it, and for whom that is said."""

    amounts: Amounts
    others: Sequence[Holding]
    caller: Principal
    team: str
    environment: str

    def free(self, what: str) -> int | None:
        """Return what is left; none: as much as there is."""
        most = self.amounts.most(what)
        return None if most is None else max(0, most - held(self.others, what))


def gpus_at(inquiry: Inquiry) -> str:
    """Return where the manifest asks for GPUs, or for a part of one."""
    needs = inquiry.draft.resources
    return _GPUS + (f"mig-{needs.mig}" if needs and needs.mig else "gpu")


def draw(reserved: Reservation) -> Draw:
    """Return what one replica takes."""
    gpus = {reserved.gpu_class: reserved.gpus} if reserved.gpu_class and reserved.gpus else {}
    return Draw(1, reserved.cpu_milli, reserved.memory_bytes, gpus)


async def check(inquiry: Inquiry) -> None:
    """Compare what all replicas take with what the team has free, in everything at once."""
    project, reserved, replicas = inquiry.project, inquiry.reserved, inquiry.draft.replicas
    if project is None or reserved is None or replicas is None:
        return
    tx, environment = inquiry.tx, inquiry.environment
    amounts, team = await quotas.allowed(
        tx, project.team_id, environment, inquiry.facilities.quotas
    )
    every = await quotas.taken(tx, team_id=project.team_id, environment=environment)
    own = inquiry.present.id if inquiry.present else ""
    others = [one for one in every if one.deployment_id != own]
    mine = next((one.draw for one in every if one.deployment_id == own), Draw())
    room = _Room(amounts, others, inquiry.caller, team, environment)
    one = draw(reserved)
    fitting = _fitting(room, one)
    for what in one.words():
        free, wanted = room.free(what), one.of(what) * replicas
        # What a deployment holds already it keeps, whatever became of the quota since.
        if free is not None and wanted > max(free, mine.of(what)):
            _refuse(inquiry, room, what, one, fitting)
    if amounts.replicas is not None:
        used = held(others, REPLICAS) + replicas
        inquiry.notes.append(f"quota {used} of {amounts.replicas} replicas")


def _fitting(room: _Room, one: Draw) -> int:
    """Return how many replicas fit."""
    counts = [free // one.of(what) for what in one.words() if (free := room.free(what)) is not None]
    return min(counts, default=0)


def _refuse(inquiry: Inquiry, room: _Room, what: str, one: Draw, fitting: int) -> None:
    replicas = inquiry.draft.replicas or 1
    wanted = f"{replicas} replica{'s' if replicas > 1 else ''}"
    if what != REPLICAS:
        wanted += f" × {_amount(what, one.of(what))}"
    most, free = room.amounts.most(what) or 0, room.free(what) or 0
    of = f"{_number(what, free)} of {_amount(what, most)} free in {room.environment}"
    by = _holders(room, what)
    message = f"{wanted}, and {room.team} has {of}{f' ({by})' if by else ''}."
    path = _PATHS.get(what, gpus_at(inquiry))
    if replicas > 1 and fitting:
        path = _PATHS[REPLICAS]
    inquiry.add(
        path, "QuotaExceeded", message, _fix(room, what, one.of(what) * replicas, fitting, replicas)
    )


def _fix(room: _Room, what: str, needed: int, fitting: int, replicas: int) -> str:
    more = f"ask for more: `towpath quotas request {room.team} --environment {room.environment} "
    more += f"{_option(what, held(room.others, what) + needed)}`"
    if fitting and replicas > 1:
        return f"Use `maxReplicas: {fitting}`, or {more}."
    most = room.amounts.most(what) or 0
    if most and what != REPLICAS and not room.others:
        return f"Ask for at most {_amount(what, most)}, or {more}."
    return f"Delete one that is not needed, or {more}." if room.others else f"A{more[1:]}."


def _option(what: str, value: int) -> str:
    if what == REPLICAS:
        return f"--replicas {value}"
    if what == CPU:
        return f"--cpu {quantity.from_milli(value)}"
    return f"--memory {quantity.above(value)}" if what == MEMORY else f"--gpu {what}={value}"


def _holders(room: _Room, what: str) -> str:
    holding = [one for one in room.others if one.draw.of(what)]
    seen = [one for one in holding if quotas.may_see(room.caller, one)]
    words = [
        f"{_number(what, one.draw.of(what))} held by `{one.name}`{_until(one)}"
        for one in seen[:_SHOWN]
    ]
    rest = [one for one in holding if one not in seen[:_SHOWN]]
    if rest:
        deployments = (
            f"{len(rest)} {'more ' if words else ''}deployment{'s' if len(rest) > 1 else ''}"
        )
        words.append(f"{_number(what, held(rest, what))} held by {deployments}{_soonest(rest)}")
    return ", ".join(words)


def _soonest(holdings: Sequence[Holding]) -> str:
    """Say of deployments that are not named when the first of them ends."""
    ends = [one.until_ms for one in holdings if one.until_ms is not None and not one.ending]
    if not ends:
        return ""
    first = ", the first" if len(holdings) > 1 else ""
    return f"{first} until {_time(min(ends))}"


def _until(holding: Holding) -> str:
    if holding.ending:
        return ", which is ending"
    return "" if holding.until_ms is None else f" until {_time(holding.until_ms)}"


def _time(at_ms: int) -> str:
    return f"{from_ms(at_ms):%Y-%m-%d %H:%M} UTC"


def _number(what: str, value: int) -> str:
    if what == CPU:
        return f"{value / 1000:g}"
    return quantity.gib(value) if what == MEMORY else str(value)


def _amount(what: str, value: int) -> str:
    number = _number(what, value)
    if what == REPLICAS:
        return number
    if what == CPU:
        return f"{number} CPU{'s' if value != 1000 else ''}"
    return f"{number} GiB" if what == MEMORY else f"{number} × {what}"
