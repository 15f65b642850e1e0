"""How much memory of its GPUs a model server will take, and what is said when that is too much."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import artifacts
import pytest
import yaml
from fastapi import FastAPI
from platform_api import Api

from towpath_server.adapters.compute import Capacity, Gpu, GpuUse, Use
from towpath_server.core.config import Settings
from towpath_server.domains.deployments.service.check.estimate import Estimate, Spread, divide
from towpath_server.domains.runtimes.models import GpuRule

GIB = 1 << 30
GPU = "#/spec/resources/limits/nvidia.com~1gpu"
ARGS = "#/spec/runtime/args"
SHAPE = {  # 128 KiB of keys and values a token: 16 GiB at 131,072 tokens
    "llama.block_count": 32,
    "llama.embedding_length": 1024,
    "llama.attention.head_count": 8,
    "llama.attention.head_count_kv": 8,
}
LONG = ["--context-length=131072", "--parallel=1"]
SHARED: dict[str, Any] = {
    "apiVersion": "towpath.dev/v1alpha1",
    "kind": "Runtime",
    "metadata": {"name": "shared", "version": "1.0"},
    "spec": {
        "formats": ["gguf"],
        "dialect": "openai",
        "operations": ["chat"],
        "command": ["serve", "{model}", "{listen}"],
        "healthPath": "/health",
        "startupProbe": {"periodSeconds": 1, "failureThreshold": 5},
        "readinessProbe": {"periodSeconds": 1, "failureThreshold": 5},
        "args": {
            "context-length": {"minimum": 512, "maximum": 131072, "default": 4096},
            "gpu-memory-utilization": {"minimum": 0.1, "maximum": 1},
            "tensor-parallel-size": {"minimum": 1, "maximum": 8, "default": 1},
        },
        "memory": {
            "overheadBytes": GIB,
            "context": "context-length",
            "gpu": {
                "overheadBytes": GIB,
                "share": 0.9,
                "shareArgument": "gpu-memory-utilization",
                "cards": "tensor-parallel-size",
            },
        },
    },
}
WHOLE = Estimate(weights=33 * GIB, context=32 * GIB, runtime=3 * GIB)
RULE = GpuRule(overhead_bytes=GIB)


def test_a_model_lies_on_its_gpus_in_equal_parts() -> None:
    divided = divide(RULE, {"layers": 32}, WHOLE, Spread((0.5, 0.5)))

    assert divided.machine == Estimate(0, 0, 3 * GIB)
    assert divided.cards == (Estimate(round(16.5 * GIB), 16 * GIB, GIB),) * 2


def test_layers_that_stay_beside_the_gpu_take_their_keys_and_values_along() -> None:
    divided = divide(RULE, {"layers": 32}, WHOLE, Spread((1.0,), layers=24))

    assert divided.cards == (Estimate(24 * GIB, 24 * GIB, GIB),)
    assert divided.machine == Estimate(9 * GIB, 8 * GIB, 3 * GIB)


def test_more_layers_than_there_are_mean_all() -> None:
    divided = divide(RULE, {"layers": 32}, WHOLE, Spread((1.0,), layers=999))

    assert divided.cards == (Estimate(33 * GIB, 32 * GIB, GIB),)


def test_where_the_file_does_not_say_its_layers_all_lie_on_gpus() -> None:
    divided = divide(RULE, {}, WHOLE, Spread((1.0,), layers=1))

    assert divided.cards == (Estimate(33 * GIB, 32 * GIB, GIB),)


@dataclass
class Node:
    """A machine with GPUs, which runs nothing."""

    sizes: tuple[int, ...] = (24, 24)
    use: Mapping[str, GpuUse] = field(default_factory=dict)

    parts: tuple[tuple[str, str, int], ...] = ()
    """Class of the whole GPU, profile and GiB of its parts."""

    async def capacity(self) -> Capacity:
        gpus = tuple(
            Gpu(f"GPU-{number}", "NVIDIA L4", size * GIB, "l4-24gb")
            for number, size in enumerate(self.sizes)
        )
        gpus += tuple(
            Gpu(f"MIG-{number}", f"NVIDIA MIG {mig}", size * GIB, f"{whole}-mig-{mig}", mig)
            for number, (whole, mig, size) in enumerate(self.parts)
        )
        return Capacity("gpu-7", 8, 8, 64 * GIB, gpus=gpus, use=Use(self.use))

    def lacking(self, programs: Sequence[str]) -> Sequence[str]:
        del programs
        return []


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """A runtime that takes a share of its GPU, as vLLM does, beside those that are shipped."""
    assert settings.runtimes_dir is not None
    (settings.runtimes_dir / "shared.yaml").write_text(yaml.safe_dump(SHARED))
    return settings


@dataclass
class Place:
    """The application over a machine that can be changed."""

    api: Api
    app: FastAPI

    async def tried(self, node: Node, *, status: int = 200, gpus: int = 1, **spec: Any) -> Any:
        """Try a manifest; return the message of its check, or its findings by path."""
        facilities = self.app.state.facilities
        self.app.state.facilities = replace(facilities, servers=node)
        manifest = {
            "apiVersion": "towpath.dev/v1alpha1",
            "kind": "ModelDeployment",
            "metadata": {"name": "chat", "project": "care/triage"},
            "spec": {
                "model": {"uri": "models:/chat/1"},
                "resources": {"limits": {"nvidia.com/gpu": gpus}},
                **spec,
            },
        }
        path = "/deployments?environment=sandbox&dry_run=true"
        answer = await self.api.call("POST", path, manifest, status=status)
        if status == 422:
            return {one["path"]: one for one in answer.json()["findings"]}
        return answer.json()["message"]


@pytest.fixture
async def place(api: Api, app: FastAPI) -> Place:
    await api.create("/teams", name="care")
    await api.create("/projects", team="care", name="triage")
    content = artifacts.gguf(SHAPE)
    digest = "sha256:" + hashlib.sha256(content).hexdigest()
    await api.call("PUT", f"/blobs/{digest}", content=content, status=201)
    files = [{"path": "model.gguf", "digest": digest, "size": len(content)}]
    await api.create("/models/chat/versions", project="care/triage", format="gguf", files=files)
    return Place(api, app)


def llama(*args: str) -> dict[str, Any]:
    return {"runtime": {"name": "llama.cpp", "args": [*args]}}


def shared(*args: str) -> dict[str, Any]:
    return {"runtime": {"name": "shared", "args": [*args]}}


async def test_what_fits_says_how_much_it_takes_of_each_gpu(place: Place) -> None:
    one = await place.tried(Node(), **llama(*LONG))
    two = await place.tried(Node(), gpus=2, **llama(*LONG))

    assert "fits in 18 of 24 GiB of each GPU, 1 × l4-24gb" in one
    assert "fits in 9.5 of 24 GiB of each GPU, 2 × l4-24gb" in two


async def test_what_is_too_large_for_a_gpu_says_by_how_much_and_what_would_fit(
    place: Place,
) -> None:
    found = await place.tried(Node((16, 16)), status=422, **llama(*LONG))

    assert set(found) == {GPU}
    assert found[GPU]["reason"] == "DoesNotFit"
    assert found[GPU]["message"] == (
        "It needs about 18 GiB of its GPU (0.00 for the weights, 16 for the context, 1.5 for the "
        "runtime), and `gpu-7` has none larger than `NVIDIA L4` with 16 GiB."
    )
    assert found[GPU]["fix"] == (
        "Use `nvidia.com/gpu: 2` or `--context-length=118272` or `--gpu-layers=28`, "
        "or a smaller model."
    )


@pytest.mark.parametrize(
    ("gpus", "args"),
    [(2, LONG), (1, ["--context-length=118272", "--parallel=1"]), (1, [*LONG, "--gpu-layers=28"])],
    ids=["more GPUs", "a shorter context", "fewer layers"],
)
async def test_every_way_out_that_is_named_leads_out(
    gpus: int, args: list[str], place: Place
) -> None:
    message = await place.tried(Node((16, 16)), gpus=gpus, **llama(*args))

    assert "of 16 GiB of each GPU" in message


async def test_layers_beside_the_gpu_count_in_the_memory_of_the_machine(place: Place) -> None:
    limits = {"limits": {"nvidia.com/gpu": 1, "memory": "2Gi"}}

    all_there = await place.tried(Node(), resources=limits, **llama(*LONG))
    found = await place.tried(
        Node(), status=422, resources=limits, **llama(*LONG, "--gpu-layers=8")
    )

    assert "of 24 GiB of each GPU" in all_there
    assert set(found) == {"#/spec/resources/limits/memory"}
    assert found["#/spec/resources/limits/memory"]["message"].startswith("It needs about 12 GiB")


async def test_a_model_may_lie_on_gpus_in_unequal_parts(place: Place) -> None:
    split = llama(*LONG, "--tensor-split=3,1")

    fits = await place.tried(Node((16, 6)), gpus=2, **split)
    found = await place.tried(Node((12, 12)), gpus=2, status=422, **split)

    assert "fits in 14 of 16 GiB" in fits
    assert "It needs about 14 GiB of one of its 2 GPUs" in found[GPU]["message"]


async def test_memory_that_other_programs_have_is_not_there(place: Place) -> None:
    busy = {"GPU-0": GpuUse(20 * GIB), "GPU-1": GpuUse(0, replica="rep_of_somebody")}

    found = await place.tried(Node(use=busy), status=422, **llama(*LONG))

    assert found[GPU]["reason"] == "DoesNotFit"
    assert found[GPU]["message"].endswith(
        "and `NVIDIA L4` (GPU-0) of `gpu-7` has 4 of 24 GiB free: "
        "programs that the platform did not start use the rest."
    )
    assert found[GPU]["fix"] == "End them, or use a smaller model."


async def test_replicas_that_fit_beside_what_is_in_use_are_taken(place: Place) -> None:
    busy = {"GPU-0": GpuUse(20 * GIB), "GPU-1": GpuUse(GIB)}

    assert "fits in 18 of 24 GiB" in await place.tried(Node(use=busy), **llama(*LONG))


async def test_a_runtime_may_take_a_share_of_its_gpu_whatever_it_needs(place: Place) -> None:
    busy = Node(use={"GPU-0": GpuUse(4 * GIB), "GPU-1": GpuUse(4 * GIB)})

    fits = await place.tried(Node(), **shared())
    in_use = await place.tried(busy, status=422, **shared())
    smaller = await place.tried(busy, **shared("--gpu-memory-utilization=0.8"))
    too_small = await place.tried(
        Node((18, 18)),
        status=422,
        **shared("--context-length=131072", "--gpu-memory-utilization=0.9"),
    )

    assert "fits in 1.5 of 24 GiB" in fits
    assert "takes 22 GiB at once" in in_use[GPU]["message"]
    assert "fits in 1.5 of 24 GiB" in smaller
    assert "with 18 GiB, of which it takes 16 GiB" in too_small[GPU]["message"]
    assert "`nvidia.com/gpu: 2` with `--tensor-parallel-size=2`" in too_small[GPU]["fix"]


async def test_arguments_that_speak_of_more_gpus_than_are_asked_for_are_refused(
    place: Place,
) -> None:
    parts = await place.tried(Node(), gpus=1, status=422, **llama("--tensor-split=1,1"))
    cards = await place.tried(Node(), gpus=1, status=422, **shared("--tensor-parallel-size=2"))

    assert parts[ARGS]["message"] == (
        "`--tensor-split` speaks of 2 GPUs, and the manifest asks for 1."
    )
    assert (cards[ARGS]["reason"], cards[ARGS]["fix"]) == (
        "Contradiction",
        "Write `nvidia.com/gpu: 2` under `resources.limits`, or name fewer.",
    )


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("3,x", "`x` is not a number"),
        ("1,-1", "-1 is not between"),
        ("1," * 64 + "1", "65 numbers"),
    ],
)
async def test_parts_are_numbers(value: str, said: str, place: Place) -> None:
    found = await place.tried(Node(), gpus=2, status=422, **llama(f"--tensor-split={value}"))

    assert said in found[f"{ARGS}/0"]["message"]


DIVIDED = Node(
    parts=(
        ("h100-80gb", "1g.10gb", 10),
        ("h100-80gb", "1g.10gb", 10),
        ("h100-80gb", "3g.40gb", 40),
        ("a100-80gb", "1g.10gb", 10),
    )
)


def part(profile: str, **more: Any) -> dict[str, Any]:
    return {"resources": {"limits": {f"nvidia.com/mig-{profile}": 1}}, **more}


def part_at(profile: str) -> str:
    return f"#/spec/resources/limits/nvidia.com~1mig-{profile}"


async def test_a_part_of_a_gpu_is_checked_by_its_own_size(place: Place) -> None:
    fits = await place.tried(DIVIDED, **part("3g.40gb", **llama(*LONG)))
    h100 = {"accelerator": {"class": "h100-80gb"}}
    found = await place.tried(DIVIDED, status=422, **part("1g.10gb", **h100, **llama(*LONG)))

    assert "fits in 18 of 40 GiB of each GPU, 1 × h100-80gb-mig-3g.40gb" in fits
    assert (
        "none larger than `NVIDIA MIG 1g.10gb` with 10 GiB" in found[part_at("1g.10gb")]["message"]
    )
    assert "Use `nvidia.com/mig-3g.40gb: 1` or" in found[part_at("1g.10gb")]["fix"]


async def test_parts_of_several_classes_are_told_apart_by_the_class_of_their_gpu(
    place: Place,
) -> None:
    at = "#/spec/accelerator/class"
    unsaid = await place.tried(DIVIDED, status=422, **part("1g.10gb", **llama()))
    said = await place.tried(
        DIVIDED, **part("1g.10gb", accelerator={"class": "a100-80gb"}, **llama())
    )
    wrong = await place.tried(
        DIVIDED, status=422, **part("3g.40gb", accelerator={"class": "a100-80gb"}, **llama())
    )

    assert unsaid[at]["reason"] == "Missing"
    assert "1 × a100-80gb-mig-1g.10gb" in said
    assert wrong[at]["message"] == (
        "No GPUs here that are `a100-80gb` are divided into parts `3g.40gb`."
    )


async def test_parts_that_no_gpu_is_divided_into_are_refused_with_those_there_are(
    place: Place,
) -> None:
    near = await place.tried(DIVIDED, status=422, **part("1g.11gb", **llama()))
    none = await place.tried(Node(), status=422, **part("1g.10gb", **llama()))

    assert near[part_at("1g.11gb")]["reason"] == "UnknownAccelerator"
    assert near[part_at("1g.11gb")]["fix"] == "Did you mean `nvidia.com/mig-1g.10gb`?"
    assert none[part_at("1g.10gb")]["fix"] == "Ask for `nvidia.com/gpu: 1` instead."


async def test_more_replicas_than_there_are_parts_are_refused(place: Place) -> None:
    three = {"scaling": {"minReplicas": 2}, "accelerator": {"class": "a100-80gb"}}

    found = await place.tried(DIVIDED, status=422, **part("1g.10gb", **three, **llama()))

    assert found[part_at("1g.10gb")]["message"] == ("It asks for 2 GPUs in all, and `gpu-7` has 1.")


async def test_parts_count_in_the_quota_by_their_class(place: Place) -> None:
    mig = "h100-80gb-mig-3g.40gb"
    body = {"team": "care", "environment": "sandbox", "gpus": {"*": 4, mig: 0}}
    await place.api.create("/quotas", **body)

    found = await place.tried(DIVIDED, status=422, **part("3g.40gb", **llama()))

    assert found[part_at("3g.40gb")]["reason"] == "QuotaExceeded"
    assert f"0 of 0 × {mig} free" in found[part_at("3g.40gb")]["message"]
    assert f"--gpu {mig}=1" in found[part_at("3g.40gb")]["fix"]


async def test_whole_gpus_are_meant_where_no_part_is_named(place: Place) -> None:
    message = await place.tried(DIVIDED, **llama())

    assert "1 × l4-24gb" in message


async def test_gpus_of_unknown_size_are_not_compared(place: Place) -> None:
    message = await place.tried(Node((0, 0)), **llama(*LONG))

    assert "of each GPU" not in message
