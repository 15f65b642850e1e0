"""
Finds the model in a folder of MLflow's: that of a flavour whose file carries no code.

The model is served as its file says it is, by the servers for ONNX and skops; MLflow itself, and
what `python_function` would load, is not asked.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from towpath_runtimes.kserve.model import Model
from towpath_runtimes.listening import StartRefused
from towpath_runtimes.sklearn import folder as files

_DESCRIPTION = "MLmodel"


def load(path: Path, *, rows: int, together: int) -> Model:
    """
    Load the model of a folder.

    Args:
        rows: Most rows of one request.
        together: Rows that several requests are joined to; 1: none is.

    Raises:
        StartRefused: It has no flavour that is served here, or its file cannot be.
    """
    flavours = _flavours(path / _DESCRIPTION)
    name = _file(flavours)
    if name is None:
        listed = ", ".join(f"`{flavour}`" for flavour in sorted(map(str, flavours)))
        raise StartRefused(
            f"the model has the flavours {listed}, and none of them is served without its code",
            fix="log it with `mlflow.onnx`, or with `mlflow.sklearn` and "
            '`serialization_format="skops"`; or write a class for the runtime `python`',
        )
    file = (path / name).resolve()
    if not file.is_relative_to(path.resolve()) or not file.is_file():
        raise StartRefused(
            f"`{_DESCRIPTION}` names `{name}`, and there is no such file in the folder",
            fix="push the folder as MLflow wrote it",
        )
    return files.load(file, rows=rows, together=together)


def _flavours(file: Path) -> Mapping[str, Any]:
    try:
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise StartRefused(
            f"`{file}` cannot be read: {str(error)[:300]}", fix="push the folder as MLflow wrote it"
        ) from error
    found = document.get("flavors") if isinstance(document, dict) else None
    if not isinstance(found, dict) or not found:
        raise StartRefused(f"`{file}` names no flavours", fix="log the model again")
    return found


def _file(flavours: Mapping[str, Any]) -> str | None:
    """Return the file of the first flavour that carries no code."""
    onnx, sklearn = (_flavour(flavours, name) for name in ("onnx", "sklearn"))
    if isinstance(onnx.get("data"), str):
        return onnx["data"]
    if sklearn.get("serialization_format") == "skops":
        found = sklearn.get("pickled_model")
        return found if isinstance(found, str) else None
    return None


def _flavour(flavours: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = flavours.get(name)
    return found if isinstance(found, dict) else {}
