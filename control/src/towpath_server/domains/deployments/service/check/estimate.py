"""
How much memory one model server will take: a sum of what is known before it is started.

Pure functions; `docs/concepts/fit.md` compares them with what the real model servers take.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from towpath_server.domains.runtimes.models import GpuRule, MemoryRule

_ELEMENT_BYTES = 2  # llama.cpp keeps keys and values as 16-bit floats unless it is told otherwise
_MIB = 1 << 20


@dataclass(frozen=True)
class Estimate:
    """Memory of one replica, in bytes, by what takes it."""

    weights: int
    context: int
    """Keys and values of all slots."""
    runtime: int
    """The server itself: its program, its threads, its caches."""

    @property
    def total(self) -> int:
        """Return all of it."""
        return self.weights + self.context + self.runtime


@dataclass(frozen=True)
class Load:
    """With what a server is started, as far as its memory depends on it."""

    threads: int
    context: int = 0
    """Tokens that one slot holds."""
    slots: int = 1
    cache_bytes: int = 0
    """Bound of a cache that fills with use."""


@dataclass(frozen=True)
class Spread:
    """How a model lies on GPUs."""

    parts: tuple[float, ...]
    """What each GPU has of what lies on GPUs; together 1."""
    layers: int | None = None
    """Layers that lie there; none: all."""


@dataclass(frozen=True)
class Divided:
    """An estimate, divided between the machine's memory and GPUs."""

    machine: Estimate
    cards: tuple[Estimate, ...]


def context_bytes(facts: Mapping[str, Any], load: Load) -> int:
    """
    Return what the keys and values of all slots take.

    `2 · layers · kv_heads · head_dim · bytes per element` for each token (Pope et al., Efficiently
    Scaling Transformer Inference, 2022, section 3.3; Ainslie et al., GQA, 2023, for fewer
    heads of keys and values than of queries), times the tokens of a slot, times the slots. 0 where
    the file does not say what it takes.
    """
    layers, heads, size = (int(facts.get(name) or 0) for name in ("layers", "kv_heads", "head_dim"))
    return 2 * layers * heads * size * _ELEMENT_BYTES * load.context * load.slots


def estimate(rule: MemoryRule, facts: Mapping[str, Any], load: Load) -> Estimate:
    """
    Sum up what a server will take.

    Args:
        rule: What the runtime's description says of its memory.
        facts: Read from the files: `weights_bytes`, and for language models `layers`, `kv_heads`
            and `head_dim`; `parameters` where they are unpacked.
    """
    unpacked = int(facts.get("parameters") or 0) * rule.element_bytes
    return Estimate(
        weights=round(max(facts["weights_bytes"], unpacked) * rule.factor),
        context=context_bytes(facts, load),
        runtime=rule.overhead_bytes + rule.per_thread_bytes * load.threads + load.cache_bytes,
    )


def load_of(rule: MemoryRule, given: Mapping[str, int], threads: int) -> Load:
    """
    Say with what a server is started.

    Args:
        given: Start arguments that are numbers, those of the description's defaults included.
    """
    return Load(
        threads=threads,
        context=given.get(rule.context or "", 0),
        slots=given.get(rule.slots or "", 1),
        cache_bytes=given.get(rule.cache_mib or "", 0) * _MIB,
    )


def divide(rule: GpuRule, facts: Mapping[str, Any], whole: Estimate, spread: Spread) -> Divided:
    """
    Divide what a server takes between the machine's memory and its GPUs.

    Layers count as equally large, and the output as one more of them, as llama.cpp counts
    `--n-gpu-layers`; keys and values lie where their layer does. Where the file does not say how
    many layers there are, all lie on GPUs.
    """
    layers = int(facts.get("layers") or 0)
    weights = context = 1.0
    if spread.layers is not None and layers:
        weights = min(spread.layers, layers + 1) / (layers + 1)
        context = min(spread.layers, layers) / layers
    return Divided(
        machine=Estimate(
            round(whole.weights * (1 - weights)),
            round(whole.context * (1 - context)),
            whole.runtime,
        ),
        cards=tuple(
            Estimate(
                round(whole.weights * weights * part),
                round(whole.context * context * part),
                rule.overhead_bytes,
            )
            for part in spread.parts
        ),
    )
