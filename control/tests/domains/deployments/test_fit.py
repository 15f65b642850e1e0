"""How much memory a model server will take, and what is said when that is too much."""

import pytest

from towpath_server.domains.deployments.service.check.estimate import (
    context_bytes,
    estimate,
    load_of,
)
from towpath_server.domains.runtimes import service as runtimes
from towpath_server.domains.runtimes.models import MemoryRule

MIB = 1 << 20
# As the scan reads them from the files of the demo.
SMOLLM2 = {"weights_bytes": 96_576_768, "layers": 30, "kv_heads": 3, "head_dim": 64}
MINILM = {"weights_bytes": 22_871_161, "parameters": 22_617_680}
SENTIMENT = {"weights_bytes": 321_288, "parameters": 80_319}


def rule(name: str) -> MemoryRule:
    runtime = runtimes.catalog(None).find(name)
    assert runtime is not None
    assert runtime.memory is not None
    return runtime.memory


def test_keys_and_values_take_what_the_formula_says() -> None:
    load = load_of(rule("llama.cpp"), {"context-length": 4096, "parallel": 4}, threads=1)

    assert context_bytes(SMOLLM2, load) == 2 * 30 * 3 * 64 * 2 * 4096 * 4


def test_a_file_that_does_not_say_its_shape_has_no_context() -> None:
    load = load_of(rule("llama.cpp"), {"context-length": 4096, "parallel": 4}, threads=1)

    assert context_bytes({"weights_bytes": 1}, load) == 0


# Measured on the real servers after a full prompt; `docs/concepts/fit.md` has the table.
MEASURED = [(512, 1, 170), (2048, 1, 211), (4096, 1, 257), (4096, 4, 527)]


@pytest.mark.parametrize(("context", "slots", "mib"), MEASURED)
def test_the_estimate_of_llama_cpp_is_near_what_it_takes_and_not_below(
    context: int, slots: int, mib: int
) -> None:
    given = {"context-length": context, "parallel": slots, "prompt-cache-mib": 0}

    found = estimate(rule("llama.cpp"), SMOLLM2, load_of(rule("llama.cpp"), given, threads=1)).total

    assert 0.95 * mib * MIB <= found <= 1.25 * mib * MIB


@pytest.mark.parametrize(("facts", "mib"), [(MINILM, 423), (SENTIMENT, 101)])
def test_the_estimate_of_onnx_is_near_what_it_takes_and_not_below(
    facts: dict[str, int], mib: int
) -> None:
    found = estimate(rule("onnx"), facts, load_of(rule("onnx"), {}, threads=1)).total

    assert 0.95 * mib * MIB <= found <= 1.25 * mib * MIB


def test_a_cache_that_fills_with_use_counts_from_the_start() -> None:
    llama = rule("llama.cpp")
    given = {"context-length": 512, "parallel": 1}

    without = estimate(llama, SMOLLM2, load_of(llama, {**given, "prompt-cache-mib": 0}, 1))
    with_cache = estimate(llama, SMOLLM2, load_of(llama, {**given, "prompt-cache-mib": 256}, 1))

    assert with_cache.total - without.total == 256 * MIB
