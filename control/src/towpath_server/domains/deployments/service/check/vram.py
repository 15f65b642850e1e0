"""Does it fit into the memory of the GPUs: those that the machine has, and what is free of them."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from towpath_server.adapters.compute import Gpu
from towpath_server.core import quantity
from towpath_server.domains.deployments.models import RuntimeDraft
from towpath_server.domains.deployments.service.check.estimate import Estimate, Spread
from towpath_server.domains.deployments.service.check.inquiry import Inquiry
from towpath_server.domains.deployments.service.check.quota import gpus_at
from towpath_server.domains.deployments.service.check.runtime import text_of
from towpath_server.domains.deployments.store import replicas
from towpath_server.domains.runtimes.models import GpuRule

_ARGS = "#/spec/runtime/args"
_BLOCK = 512  # contexts are suggested in multiples of it


@dataclass(frozen=True)
class _Card:
    """A GPU that a replica might have."""

    gpu: Gpu
    free: int
    share: float | None
    """Part of the whole that a server takes at once, and at most."""

    @property
    def most(self) -> int:
        """Return what a server can have of it when nobody else has anything."""
        return round(self.gpu.memory_bytes * (self.share or 1))

    def holds(self, needed: int) -> bool:
        """Tell whether there is room for a server now."""
        return self.free >= (self.most if self.share else needed)


def spread(inquiry: Inquiry, rule: GpuRule, gpus: int) -> Spread:
    """Say how a server's arguments lay its model over the GPUs of a replica."""
    wanted, layers = inquiry.draft.runtime or RuntimeDraft(), rule.layers
    count = min(inquiry.numbers.get(rule.cards or "", gpus), gpus)
    parts = [1.0] * count + [0.0] * (gpus - count)
    written = text_of(wanted, rule.parts) if rule.parts else None
    if written is not None:
        given = [_number(one) for one in written.split(",")][:gpus]
        if sum(given) > 0:
            parts = given + [0.0] * (gpus - len(given))
    whole = sum(parts) or 1.0
    return Spread(
        tuple(part / whole for part in parts), inquiry.numbers.get(layers) if layers else None
    )


async def check(inquiry: Inquiry) -> None:
    """Compare what each GPU of a replica has to hold with the GPUs that there are."""
    reserved, rule = inquiry.reserved, _rule(inquiry)
    if reserved is None or rule is None or not reserved.gpus:
        return
    _counted(inquiry, rule, reserved.gpus)
    cards = await _cards(inquiry, rule, reserved.gpu_class)
    if not inquiry.cards or not cards:
        return
    needs = _needs(inquiry.cards, inquiry.draft.replicas or 1)
    largest = sorted((card.most for card in cards), reverse=True)
    if any(need > most for need, most in zip(needs, largest, strict=False)):
        _too_small(inquiry, rule, cards)
        return
    free = sorted((card for card in cards if card.free), key=lambda one: one.free, reverse=True)
    full = [card for need, card in zip(needs, free, strict=False) if not card.holds(need)]
    if full:
        _in_use(inquiry, full[0])
    elif len(needs) <= len(free):  # too few of them are a finding of their own
        worst, card = max(inquiry.cards, key=lambda one: one.total), cards[0]
        on = f"{len(inquiry.cards)} × {card.gpu.gpu_class}"
        size = f"{quantity.gib(worst.total)} of {quantity.gib(card.gpu.memory_bytes)}"
        inquiry.notes.append(f"fits in {size} GiB of each GPU, {on}")


def _rule(inquiry: Inquiry) -> GpuRule | None:
    runtime = inquiry.runtime
    return runtime.memory.gpu if runtime is not None and runtime.memory is not None else None


def _number(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        return 0.0
    return found if math.isfinite(found) and found > 0 else 0.0


def _counted(inquiry: Inquiry, rule: GpuRule, gpus: int) -> None:
    """Note arguments that speak of more GPUs than a replica has."""
    wanted = inquiry.draft.runtime or RuntimeDraft()
    parts = text_of(wanted, rule.parts) if rule.parts else None
    for name, count in (
        (rule.cards, inquiry.numbers.get(rule.cards or "", 0)),
        (rule.parts, parts.count(",") + 1 if parts else 0),
    ):
        if count > gpus:
            inquiry.add(
                _ARGS,
                "Contradiction",
                f"`--{name}` speaks of {count} GPUs, and the manifest asks for {gpus}.",
                f"Write `nvidia.com/gpu: {count}` under `resources.limits`, or name fewer.",
            )


async def _cards(inquiry: Inquiry, rule: GpuRule, gpu_class: str | None) -> list[_Card]:
    """Return the GPUs whose size is known; free of another's is nothing, of one's own all."""
    machine, present = inquiry.capacity, inquiry.present
    mine = set()
    if present is not None:
        mine = {one.id for one in (await replicas.of(inquiry.tx, [present.id]))[present.id]}
    share = _share(inquiry, rule)
    found = []
    for gpu in machine.gpus:
        if not gpu.memory_bytes or (gpu_class is not None and gpu.gpu_class != gpu_class):
            continue
        use = machine.use.gpus.get(gpu.uuid)
        free = gpu.memory_bytes
        if use is not None and use.replica not in mine:
            free = 0 if use.replica else max(0, gpu.memory_bytes - use.memory_bytes)
        found.append(_Card(gpu, free, share))
    return sorted(found, key=lambda card: card.gpu.memory_bytes, reverse=True)


def _share(inquiry: Inquiry, rule: GpuRule) -> float | None:
    """Return the part of a whole GPU that a server takes at once."""
    wanted, name = inquiry.draft.runtime or RuntimeDraft(), rule.share_argument
    written = text_of(wanted, name) if name else None
    return (min(1.0, _number(written)) if written else None) or rule.share


def _needs(cards: Iterable[Estimate], replicas_: int) -> list[int]:
    """Return what is needed of GPUs, the largest first; some may stay empty."""
    used = [card.total for card in cards if card.weights]
    return sorted(used * replicas_, reverse=True)


def _said(inquiry: Inquiry) -> str:
    worst, count = max(inquiry.cards, key=lambda one: one.total), len(inquiry.cards)
    even = len({card.total for card in inquiry.cards}) == 1
    where = (
        "its GPU" if count == 1 else f"each of {count} GPUs" if even else f"one of its {count} GPUs"
    )
    parts = (
        f"{quantity.gib(worst.weights)} for the weights, {quantity.gib(worst.context)} for the "
        f"context, {quantity.gib(worst.runtime)} for the runtime"
    )
    return f"It needs about {quantity.gib(worst.total)} GiB of {where} ({parts})"


def _too_small(inquiry: Inquiry, rule: GpuRule, cards: Sequence[_Card]) -> None:
    largest = cards[0]
    has = f"{quantity.gib(largest.gpu.memory_bytes)} GiB"
    if largest.share:
        has += f", of which it takes {quantity.gib(largest.most)} GiB"
    ways = [
        way
        for way in (
            _more(inquiry, rule, cards),
            _shorter(inquiry, largest.most),
            _fewer(inquiry, rule, largest.most),
        )
        if way
    ]
    fix = f"Use {' or '.join(ways)}, or a smaller model." if ways else "Use a smaller model."
    inquiry.add(
        gpus_at(inquiry),
        "DoesNotFit",
        f"{_said(inquiry)}, and `{inquiry.capacity.name}` has none larger than "
        f"`{largest.gpu.name}` with {has}.",
        fix,
    )


def _in_use(inquiry: Inquiry, card: _Card) -> None:
    gpu = card.gpu
    takes = f", and takes {quantity.gib(card.most)} GiB at once" if card.share else ""
    inquiry.add(
        gpus_at(inquiry),
        "DoesNotFit",
        f"{_said(inquiry)}{takes}, and `{gpu.name}` ({gpu.uuid}) of `{inquiry.capacity.name}` has "
        f"{quantity.gib(card.free)} of {quantity.gib(gpu.memory_bytes)} GiB free: programs that "
        "the platform did not start use the rest.",
        "End them, or use a smaller model.",
    )


def _more(inquiry: Inquiry, rule: GpuRule, cards: Sequence[_Card]) -> str | None:
    """Say with how many GPUs it would fit, where the model is spread evenly over all."""
    if len({card.total for card in inquiry.cards}) > 1:
        return None
    if inquiry.draft.resources and inquiry.draft.resources.mig:
        return _larger(inquiry, rule)
    one, now = inquiry.cards[0], len(inquiry.cards)
    for count in range(now + 1, len(cards) // (inquiry.draft.replicas or 1) + 1):
        each = (one.weights + one.context) * now / count + one.runtime
        if each <= cards[-1].most:
            spread_by = f" with `--{rule.cards}={count}`" if rule.cards else ""
            return f"`nvidia.com/gpu: {count}`{spread_by}"
    return None


def _larger(inquiry: Inquiry, rule: GpuRule) -> str | None:
    """Name the smallest part of a GPU that it would fit into."""
    needed = inquiry.cards[0].total
    parts = sorted((gpu.memory_bytes, gpu.mig) for gpu in inquiry.capacity.gpus if gpu.mig)
    fitting = (mig for size, mig in parts if size * (_share(inquiry, rule) or 1) >= needed)
    found = next(fitting, None)
    return f"`nvidia.com/mig-{found}: 1`" if found else None


def _shorter(inquiry: Inquiry, most: int) -> str | None:
    """Name the context with which it would fit."""
    runtime, worst = inquiry.runtime, max(inquiry.cards, key=lambda one: one.total)
    name = runtime.memory.context if runtime is not None and runtime.memory is not None else None
    if name is None or runtime is None or not worst.context:
        return None
    room = (most - worst.weights - worst.runtime) / worst.context
    fits = int(inquiry.numbers.get(name, 0) * room) // _BLOCK * _BLOCK
    least = (runtime.args[name].minimum or _BLOCK) if name in runtime.args else _BLOCK
    return f"`--{name}={fits}`" if fits >= least else None


def _fewer(inquiry: Inquiry, rule: GpuRule, most: int) -> str | None:
    """Name the number of layers with which it would fit, the others beside the GPUs."""
    version, name = inquiry.version, rule.layers
    total = int(version.scanned.metadata.get("layers") or 0) if version is not None else 0
    if name is None or not total:
        return None
    worst = max(inquiry.cards, key=lambda one: one.total)
    now = max(1, min(inquiry.numbers.get(name, total + 1), total + 1))
    weights, context = worst.weights / now, worst.context / min(now, total)
    for fewer in range(now - 1, 0, -1):
        if weights * fewer + context * min(fewer, total) + worst.runtime <= most:
            return f"`--{name}={fewer}`"
    return None
