"""What a model takes and gives, as `signature.json` beside it says; outputs are held against it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from towpath_runtimes.kserve.errors import Refused
from towpath_runtimes.kserve.tensors import DTYPES, TensorSpec
from towpath_runtimes.listening import StartRefused

SIGNATURE = "signature.json"
EXAMPLE = '{"inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}], "outputs": […]}'


def beside(folder: Path) -> Mapping[str, Any] | None:
    """
    Read a folder's signature; none where there is no file.

    Raises:
        StartRefused: The file is not JSON.
    """
    file = folder / SIGNATURE
    if not file.is_file():
        return None
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise StartRefused(f"`{file}` is not JSON: {error}", fix="correct it") from error
    return found if isinstance(found, dict) else {}


def specs(signature: Mapping[str, Any], part: str, *, file: str) -> list[TensorSpec]:
    """
    Read the tensors of one part, `inputs` or `outputs`.

    Args:
        file: The model's own file, beside which the signature stands.

    Raises:
        StartRefused: There are none, or one is no tensor of the protocol.
    """
    try:
        found = [
            TensorSpec(str(one["name"]), str(one["datatype"]), tuple(int(n) for n in one["shape"]))
            for one in signature[part]
        ]
        unknown = [spec.datatype for spec in found if spec.datatype not in DTYPES]
    except (KeyError, TypeError, ValueError):
        found, unknown = [], []
    if not found or unknown:
        what = f"names the datatype `{unknown[0]}`" if unknown else f"has no `{part}`"
        raise StartRefused(
            f"the model's signature {what}",
            fix=f"write `{SIGNATURE}` beside `{file}`: {EXAMPLE}",
        )
    return found


def output(spec: TensorSpec, found: Any) -> tuple[str, np.ndarray]:
    """
    Hold one of the model's outputs against its signature.

    Raises:
        Refused: It is missing, or is no tensor of this type and shape.
    """
    if not isinstance(found, Mapping) or spec.name not in found:
        raise Refused(f"the model gave no output `{spec.name}`", status=500)
    try:
        value = np.asarray(found[spec.name])
        spec.check(value.shape)
        return spec.datatype, _as(DTYPES[spec.datatype], value)
    except (TypeError, ValueError, Refused) as error:
        raise Refused(
            f"the model's output `{spec.name}` is no {spec.datatype} of shape {list(spec.shape)}",
            status=500,
        ) from error


def _as(dtype: np.dtype[Any], value: np.ndarray) -> np.ndarray:
    text = dtype.kind == "O"
    if text and value.dtype.kind not in "OU":
        raise TypeError(f"{value.dtype} is no text")
    return value.astype(dtype, casting="unsafe" if text else "same_kind")
