"""
Reads the schema of a skops file: which types it makes when it is loaded.

skops itself refuses types that are not trusted; which those are is decided here and once, so that a
runtime never has to be told to trust anything.
"""

import json
from typing import Any

from towpath_server.adapters.modelfiles import estimators, reasons
from towpath_server.adapters.modelfiles.documents import objects
from towpath_server.adapters.modelfiles.report import Notes, listed

_TRUSTED_ROOTS = {"sklearn", "numpy", "scipy", "collections", "datetime"}
_BUILTINS = frozenset(
    [
        "bool",
        "bytes",
        "bytearray",
        "complex",
        "dict",
        "float",
        "frozenset",
        "int",
        "list",
        "NoneType",
        "set",
        "slice",
        "str",
        "tuple",
        "range",
        "object",
        "type",
    ]
)
# Nodes of skops that call something when they are loaded.
_CALLING = {"MethodNode", "OperatorFuncNode", "PartialNode"}


def examine(schema: bytes, notes: Notes, head: estimators.Head) -> None:
    """
    Note the types of a skops file, what is known of the model, and its signature.

    Args:
        head: Returns the beginning of another file of the archive.
    """
    try:
        document = json.loads(schema)
    except (ValueError, RecursionError):
        notes.add(reasons.MALFORMED, "The schema of the skops file is no JSON.")
        return
    foreign = [
        f"{module}.{name}" for module, name, _ in _types(document) if not _trusted(module, name)
    ]
    calling = [loader for *_, loader in _types(document) if loader in _CALLING]
    if foreign:
        notes.add(reasons.SKOPS_TYPES, f"It makes objects of {listed(foreign)}.")
    if calling:
        notes.add(reasons.SKOPS_TYPES, f"It calls functions when it is loaded ({listed(calling)}).")
    notes.facts.update(_facts(document))
    if not notes.issues:
        inputs, outputs = estimators.signature(document, head)
        notes.facts.update(inputs=inputs, outputs=outputs)


def _types(document: Any) -> list[tuple[str, str, str]]:
    return [
        (str(one.get("__module__")), str(one.get("__class__")), str(one.get("__loader__")))
        for one in objects(document)
        if "__class__" in one and "__module__" in one
    ]


def _trusted(module: str, name: str) -> bool:
    parts = [*module.split("."), *name.split(".")]
    if any(part.startswith("_") and part.endswith("__") for part in parts):
        return False
    root = parts[0]
    if module in {"builtins", "types"}:
        return name in _BUILTINS or (module, name) == ("types", "NoneType")
    return root in _TRUSTED_ROOTS


def _facts(document: Any) -> dict[str, Any]:
    if not isinstance(document, dict):
        return {}
    found: dict[str, Any] = {"class": f"{document.get('__module__')}.{document.get('__class__')}"}
    if isinstance(version := document.get("_skops_version"), str):
        found["skops"] = version[:40]
    told = estimators.attributes(document)
    count = told.get("n_features_in_")
    if isinstance(count, dict) and str(count.get("content", "")).isdecimal():
        found["features"] = int(count["content"])
    if columns := estimators.names(told.get("feature_names_in_")):
        found["feature_names"] = columns
    return found
