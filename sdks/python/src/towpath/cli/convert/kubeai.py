"""
KubeAI's Model, `kubeai.org/v1`.

https://www.kubeai.org/reference/kubernetes-api/ names its fields.
"""

from typing import Any

from towpath.cli.convert.conversion import Conversion, Reader, environment, replicas, source

# Engine → the runtime that serves the same, and the format that it loads.
_ENGINES = {
    "VLLM": ("vllm", "safetensors"),
    "OLlama": ("llama.cpp", "gguf"),
    "Infinity": ("tei", "safetensors"),
}


def is_one(document: dict[str, Any]) -> bool:
    """Tell whether a resource is one."""
    return document.get("kind") == "Model" and str(document.get("apiVersion", "")).startswith(
        "kubeai.org/"
    )


def convert(found: Reader, project: str | None) -> Conversion:
    """Make a manifest of it."""
    engine = str(found.take("spec.engine", ""))
    runtime, form = _ENGINES.get(engine, (None, None))
    uri, left = source("spec.url", str(found.take("spec.url", "")))
    plain, foreign = environment(found.take("spec.env"))
    scaling: dict[str, Any] = replicas(
        found.take("spec.minReplicas"), found.take("spec.maxReplicas")
    )
    if isinstance(fixed := found.take("spec.replicas"), int):
        scaling |= {"minReplicas": fixed, "maxReplicas": fixed}
    if isinstance(target := found.take("spec.targetRequests"), int):
        scaling |= {"metric": "concurrency", "target": target}
    if isinstance(delay := found.take("spec.scaleDownDelaySeconds"), int):
        scaling["idleTimeout"] = f"{delay}s"
    profile = str(found.take("spec.resourceProfile", ""))
    kind, _, count = profile.partition(":")
    owner = found.take("spec.owner")
    served = {
        "name": runtime,
        "args": [str(one) for one in found.take("spec.args") or []],
        "env": plain,
    }
    made = Conversion(
        name=str(found.take("metadata.name", "model")).replace(".", "-").lower(),
        project=project,
        labels={str(k): str(v) for k, v in (found.take("metadata.labels") or {}).items()},
        annotations={"owner": str(owner)} if owner else {},
        spec={
            "model": {key: value for key, value in (("uri", uri), ("format", form)) if value},
            "runtime": {key: value for key, value in served.items() if value},
            "scaling": scaling,
        },
        left=left,
    )
    if "gpu" in kind:
        made.spec["accelerator"] = {"class": kind.removeprefix("nvidia-gpu-")}
        made.spec["resources"] = {"limits": {"nvidia.com/gpu": count or "1"}}
    elif profile:
        made.left.append(f"spec.resourceProfile: {profile} (write `resources`)")
    if runtime is None:
        made.left.append(f"spec.engine: {engine} (no runtime here does the same)")
    if features := found.take("spec.features"):
        made.left.append(f"spec.features: {features} (the runtime says what a model can do)")
    made.left += [f"spec.env: {name} (its value comes from elsewhere)" for name in foreign]
    made.left += found.left("spec")
    return made
