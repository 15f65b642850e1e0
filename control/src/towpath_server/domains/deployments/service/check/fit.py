"""Does it fit: into the limit it sets itself, and into what the machine has left."""

from collections.abc import Sequence

from towpath_server.adapters.compute import Capacity
from towpath_server.core import quantity
from towpath_server.domains.deployments.models import Reservation, Resources
from towpath_server.domains.deployments.service.check.inquiry import Inquiry
from towpath_server.domains.deployments.service.check.quota import gpus_at
from towpath_server.domains.quotas import service as quotas
from towpath_server.domains.quotas.models import MEMORY, Holding, held

_LIMIT = "#/spec/resources/limits/memory"
_WORTH_SAYING = 5 << 20  # what is written as 0.00 GiB below it
_REQUEST = "#/spec/resources/requests/memory"


async def check(inquiry: Inquiry) -> None:
    """Compare the estimate with the limit, and what is reserved with what is free."""
    reserved, needs = inquiry.reserved, inquiry.draft.resources
    if reserved is None or needs is None:
        return
    if not _limit(inquiry, needs):
        return
    machine = inquiry.capacity
    own = inquiry.present.id if inquiry.present else ""
    others = [one for one in await quotas.taken(inquiry.tx) if one.deployment_id != own]
    _memory(inquiry, reserved, needs, machine, others)
    _gpus(inquiry, reserved, machine, others)


def _limit(inquiry: Inquiry, needs: Resources) -> bool:
    """Compare with the limit above which a model server is ended; tell whether it fits."""
    found, limit = inquiry.estimate, needs.memory_limit_bytes
    if found is None or limit is None or found.total <= limit:
        return True
    parts = [
        f"{quantity.gib(size)} {what}"
        for size, what in (
            (found.weights, "for the weights"),
            (found.context, "for the context"),
            (found.runtime, "for the runtime"),
        )
        if size >= _WORTH_SAYING
    ]
    inquiry.add(
        _LIMIT,
        "LimitTooLow",
        f"It needs about {quantity.gib(found.total)} GiB ({', '.join(parts)}), and is ended "
        f"beyond {quantity.gib(limit)} GiB.",
        f"Use `limits: {{memory: {quantity.above(found.total)}}}`{_shorter(inquiry, limit)}.",
    )
    return False


def _shorter(inquiry: Inquiry, limit: int) -> str:
    """Name the context with which it would fit, where there is one."""
    found, runtime = inquiry.estimate, inquiry.runtime
    if found is None or runtime is None or runtime.memory is None or not found.context:
        return ""
    name = runtime.memory.context or ""
    rule = runtime.args.get(name)
    room = limit - found.weights - found.runtime
    given = inquiry.numbers.get(name, 0)
    fits = int(given * room / found.context) // 512 * 512
    least = (rule.minimum if rule else None) or 512
    return f", or `--{name}={fits}`" if fits >= least else ""


def _memory(
    inquiry: Inquiry,
    reserved: Reservation,
    needs: Resources,
    machine: Capacity,
    others: Sequence[Holding],
) -> None:
    replicas = inquiry.draft.replicas or 1
    size, total = reserved.memory_bytes, machine.memory_bytes
    free = max(0, total - held(others, MEMORY))
    if not size:
        inquiry.notes.append("no memory requested")
        return
    if size * replicas <= free:
        inquiry.notes.append(_fits(inquiry, needs, free, machine))
        return
    path = _REQUEST if needs.memory_bytes else _LIMIT if needs.memory_limit_bytes else "#/spec"
    count = free // size
    fewer = f"use `maxReplicas: {count}`" if 0 < count < replicas else "use a smaller model"
    said = (
        "request less" if needs.memory_bytes and size == needs.memory_bytes else "make it smaller"
    )
    inquiry.add(
        path,
        "DoesNotFit",
        f"{replicas} × {quantity.gib(size)} GiB does not fit: {quantity.gib(free)} of "
        f"{quantity.gib(total)} GiB on `{machine.name}` are not reserved by other deployments.",
        f"{said.capitalize()}, {fewer}, or delete a deployment.",
    )


def _fits(inquiry: Inquiry, needs: Resources, free: int, machine: Capacity) -> str:
    found = inquiry.estimate
    if found is None:
        return f"{quantity.gib(needs.memory_bytes or needs.memory_limit_bytes or 0)} GiB requested"
    most = needs.memory_limit_bytes or needs.memory_bytes
    if most is not None and found.total <= most:
        return f"fits in {quantity.gib(found.total)} of {quantity.gib(most)} GiB"
    return f"fits in {quantity.gib(found.total)} of {quantity.gib(free)} GiB free on {machine.name}"


def _gpus(
    inquiry: Inquiry, reserved: Reservation, machine: Capacity, others: Sequence[Holding]
) -> None:
    replicas, name = inquiry.draft.replicas or 1, reserved.gpu_class
    wanted, there = reserved.gpus * replicas, len(machine.gpus)
    if name is not None:
        there = sum(gpu.gpu_class == name for gpu in machine.gpus)
    if not wanted or (name is not None and machine.gpus and not there):
        return  # an unknown class is a finding of its own
    free = max(0, there - held(others, name or ""))
    if wanted <= free:
        return
    taken = f", and {there - free} of them are taken" if free < there else ""
    count = free // reserved.gpus
    fewer = f"Use `maxReplicas: {count}`, or delete" if count else "Ask for fewer, or delete"
    fix = f"{fewer} a deployment that has some."
    if wanted > there:
        fix = "Ask for fewer, or leave it out where the runtime serves on CPUs."
    inquiry.add(
        gpus_at(inquiry),
        "DoesNotFit",
        f"It asks for {wanted} GPUs in all, and `{machine.name}` has {there}{taken}.",
        fix,
    )
