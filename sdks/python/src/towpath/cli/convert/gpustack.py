"""
A model of GPUStack, as its API and `--model` files write it.

https://docs.gpustack.ai names its fields.
"""

from typing import Any

from towpath.cli.convert.conversion import Conversion, Reader, environment

_SOURCES = {"huggingface", "model_scope", "local_path", "ollama_library"}
# Backend → the runtime that serves the same, and the format that it loads.
_BACKENDS = {
    "vllm": ("vllm", "safetensors"),
    "llama-box": ("llama.cpp", "gguf"),
    "sglang": ("sglang", "safetensors"),
}


def is_one(document: dict[str, Any]) -> bool:
    """Tell whether a resource is one."""
    return "kind" not in document and document.get("source") in _SOURCES


def convert(found: Reader, project: str | None) -> Conversion:
    """Make a manifest of it."""
    file = found.take("huggingface_filename")
    backend = str(found.take("backend") or ("llama-box" if file else "vllm"))
    runtime, form = _BACKENDS.get(backend, (None, None))
    plain, _ = environment(found.take("env"))
    source = str(found.take("source"))
    uri, left = _uri(found, source, file)
    replicas = found.take("replicas")
    served = {
        "name": runtime,
        "args": [str(one) for one in found.take("backend_parameters") or []],
        "env": plain,
    }
    made = Conversion(
        name=str(found.take("name", "model")).replace(".", "-").replace("_", "-").lower(),
        project=project,
        labels={str(k): str(v) for k, v in (found.take("labels") or {}).items()},
        spec={
            "model": {key: value for key, value in (("uri", uri), ("format", form)) if value},
            "runtime": {key: value for key, value in served.items() if value},
            "scaling": {"minReplicas": replicas, "maxReplicas": replicas}
            if isinstance(replicas, int)
            else {},
        },
        left=left,
    )
    if isinstance(gpus := found.take("gpu_selector.gpus_per_replica"), int):
        made.spec["resources"] = {"limits": {"nvidia.com/gpu": str(gpus)}}
    if runtime is None:
        made.left.append(f"backend: {backend} (no runtime here does the same)")
    for key in ("id", "created_at", "updated_at", "ready_replicas", "meta", "description"):
        found.take(key)
    made.left += found.left()
    return made


def _uri(found: Reader, source: str, file: Any) -> tuple[str, list[str]]:
    repository = found.take("huggingface_repo_id")
    if source == "huggingface" and repository:
        if file and "*" in str(file):
            fix = f"name the file that is meant: `hf://{repository}/FILE`"
            return f"hf://{repository}", [f"huggingface_filename: {file} ({fix})"]
        return f"hf://{repository}/{file}" if file else f"hf://{repository}", []
    if source == "local_path":
        return f"file:{found.take('local_path')}", []
    left = [f"source: {source} (register the model: `towpath models push`)"]
    return "", left
