"""Reads an MLflow model's `MLmodel`: its flavours, its signature, and what loads it."""

import json
from typing import Any

from towpath_server.adapters.modelfiles import documents, reasons
from towpath_server.adapters.modelfiles.onnx import escapes
from towpath_server.adapters.modelfiles.report import Notes, listed

# Loaders that read a format without code; what the others load may be anything.
_PLAIN_LOADERS = {"mlflow.onnx", "mlflow.xgboost", "mlflow.lightgbm", "mlflow.catboost"}
_COLUMNS = {
    "boolean": "BOOL",
    "integer": "INT32",
    "long": "INT64",
    "float": "FP32",
    "double": "FP64",
    "string": "BYTES",
    "binary": "BYTES",
}
_TENSORS = {
    "bool": "BOOL",
    "uint8": "UINT8",
    "uint16": "UINT16",
    "uint32": "UINT32",
    "uint64": "UINT64",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "float16": "FP16",
    "float32": "FP32",
    "float64": "FP64",
    "str": "BYTES",
    "object": "BYTES",
}


def examine(data: bytes, notes: Notes) -> None:
    """
    Note what loads the model, and its signature.

    Raises:
        Unsound: It cannot be read.
    """
    document = documents.load_yaml(data)
    flavours = document.get("flavors") if isinstance(document, dict) else None
    if not isinstance(document, dict) or not isinstance(flavours, dict):
        notes.add(reasons.MALFORMED, "`MLmodel` names no flavours.")
        return
    python, own = flavours.get("python_function"), flavours.get("sklearn")
    if isinstance(python, dict):
        skops = isinstance(own, dict) and own.get("serialization_format") == "skops"
        _loader(python, notes, plain=_PLAIN_LOADERS | ({"mlflow.sklearn"} if skops else set()))
    _paths(flavours, notes)
    signature = document.get("signature")
    found = signature if isinstance(signature, dict) else {}
    notes.facts.update(
        flavours=sorted(map(str, flavours))[:50],
        mlflow=str(document.get("mlflow_version", ""))[:40] or None,
        run=str(document.get("run_id", ""))[:64] or None,
        inputs=_specs(found.get("inputs")),
        outputs=_specs(found.get("outputs")),
    )


def _loader(python: dict[str, Any], notes: Notes, *, plain: set[str]) -> None:
    loader = str(python.get("loader_module", ""))
    if loader not in plain:
        notes.add(reasons.MODEL_LOADER, f"`python_function` is loaded by `{loader}`.")
    if python.get("code"):
        notes.add(reasons.MODEL_LOADER, f"`python_function` brings code in `{python['code']}`.")


def _paths(flavours: dict[str, Any], notes: Notes) -> None:
    words = {"data", "code", "path", "model_path", "pickled_model", "python_model", "env"}
    named = [
        value
        for one in documents.objects(flavours)
        for key, value in one.items()
        if key in words and isinstance(value, str)
    ]
    if outside := [name for name in named if escapes(name)]:
        notes.add(reasons.ESCAPING_PATH, f"It names {listed(outside)}, outside the model.")


def _specs(text: Any) -> list[dict[str, Any]]:
    """Read one half of a signature; what KServe has no words for has a name alone."""
    try:
        entries = json.loads(text) if isinstance(text, str) else []
    except (ValueError, RecursionError):
        return []
    return [_spec(one, at) for at, one in enumerate(entries if isinstance(entries, list) else [])]


def _spec(entry: Any, at: int) -> dict[str, Any]:
    if not isinstance(entry, dict):
        return {"name": f"column_{at}"}
    tensor = entry.get("tensor-spec") if entry.get("type") == "tensor" else None
    name = str(entry.get("name") or f"{'column' if tensor is None else 'tensor'}_{at}")
    if tensor is None:
        datatype = _COLUMNS.get(str(entry.get("type")))
        return {"name": name, "datatype": datatype, "shape": [-1]} if datatype else {"name": name}
    if not isinstance(tensor, dict) or not isinstance(tensor.get("shape"), list):
        return {"name": name}
    datatype = _TENSORS.get(str(tensor.get("dtype")))
    shape = [one for one in tensor["shape"] if isinstance(one, int)]
    return {"name": name, "datatype": datatype, "shape": shape[:16]} if datatype else {"name": name}
