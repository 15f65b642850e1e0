"""
KServe's InferenceService, `serving.kserve.io/v1beta1`.

https://kserve.github.io/website/docs/reference/crd-api names its fields.
"""

from typing import Any

from towpath.cli.convert.conversion import Conversion, Reader, environment, replicas, source

_RUNTIMES = {"onnx": "onnx", "sklearn": "sklearn", "triton": "triton", "mlflow": "mlflow"}
_METRICS = {"concurrency", "rps"}
_PREFIX = "spec.predictor"


def is_one(document: dict[str, Any]) -> bool:
    """Tell whether a resource is one."""
    version = str(document.get("apiVersion", ""))
    return document.get("kind") == "InferenceService" and version.startswith("serving.kserve.io/")


def convert(found: Reader, project: str | None) -> Conversion:
    """Make a manifest of it."""
    form = str(found.take(f"{_PREFIX}.model.modelFormat.name", ""))
    found.take(f"{_PREFIX}.model.modelFormat.version")
    plain, foreign = environment(found.take(f"{_PREFIX}.model.env"))
    storage = f"{_PREFIX}.model.storageUri"
    uri, left = source(storage, str(found.take(storage, "")))
    args = [str(one) for one in found.take(f"{_PREFIX}.model.args") or []]
    scaling: dict[str, Any] = replicas(
        found.take(f"{_PREFIX}.minReplicas"), found.take(f"{_PREFIX}.maxReplicas")
    )
    metric = found.take(f"{_PREFIX}.scaleMetric")
    if metric in _METRICS:
        scaling["metric"] = metric
    if isinstance(target := found.take(f"{_PREFIX}.scaleTarget"), int):
        scaling["target"] = target
    if isinstance(most := found.take(f"{_PREFIX}.containerConcurrency"), int) and most > 0:
        scaling["maxConcurrency"] = most
    runtime = {
        "name": _RUNTIMES.get(form) or found.take(f"{_PREFIX}.model.runtime"),
        "args": args,
        "env": plain,
    }
    made = Conversion(
        name=str(found.take("metadata.name", "model")),
        project=project,
        labels={str(k): str(v) for k, v in (found.take("metadata.labels") or {}).items()},
        spec={
            "model": {key: value for key, value in (("uri", uri), ("format", form)) if value},
            "runtime": {key: value for key, value in runtime.items() if value},
            "resources": found.take(f"{_PREFIX}.model.resources") or {},
            "scaling": scaling,
            "startupProbe": _probe(found.take(f"{_PREFIX}.model.startupProbe")),
            "readinessProbe": _probe(found.take(f"{_PREFIX}.model.readinessProbe")),
        },
        left=left,
    )
    if metric is not None and metric not in _METRICS:
        made.left.append(f"{_PREFIX}.scaleMetric: {metric} (replicas follow concurrency here)")
    canary = found.take(f"{_PREFIX}.canaryTrafficPercent")
    if isinstance(canary, int):
        made.spec["rollout"] = {"steps": [{"weight": canary, "hold": "5m"}]}
    made.left += [
        f"{_PREFIX}.model.env: {name} (its value comes from elsewhere)" for name in foreign
    ]
    made.left += found.left("spec")
    return made


def _probe(found: Any) -> dict[str, Any]:
    """Carry over what asks by HTTP; the platform chooses where a server listens."""
    if not isinstance(found, dict) or not isinstance(found.get("httpGet"), dict):
        return {}
    kept = {
        key: found[key]
        for key in ("periodSeconds", "failureThreshold", "timeoutSeconds")
        if key in found
    }
    return {"httpGet": {"path": found["httpGet"].get("path", "/")}, **kept}
