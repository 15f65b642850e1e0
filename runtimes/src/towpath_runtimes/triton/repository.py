"""
The repository that a Triton is started with.

It has one model, with the configuration that its file and the start arguments come to.
"""

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import onnxruntime

from towpath_runtimes.kserve.model import by_rows
from towpath_runtimes.kserve.tensors import TensorSpec
from towpath_runtimes.listening import StartRefused
from towpath_runtimes.onnx import model as onnx

TYPES = {"BYTES": "TYPE_STRING"}
NATIVE = "onnxruntime"
# What Triton's Python backend imports of a model; the rest is a module of this package. Packages
# are added at the end, since the backend has a numpy of its own that its library was built for.
MODEL = """import sys

sys.path += {places}

from towpath_runtimes.triton.backend import TritonPythonModel
"""


@dataclass(frozen=True)
class Wanted:
    """What the start arguments say of a model."""

    name: str
    instances: int
    batch: int
    """Rows of one request."""
    waiting: int
    """Requests that wait for the model."""
    joined: int
    """Rows that waiting requests are joined to; 1: none is."""
    delay_ms: int


def write(folder: Path, model: Path, wanted: Wanted, *, backends: Path) -> None:
    """
    Write a repository with this model; what is in the folder is replaced.

    Args:
        backends: Where this Triton has its backends. ONNX Runtime's own is used where it is there,
            and else the Python backend with ONNX Runtime inside.

    Raises:
        StartRefused: The model is none that Triton can serve as it is, or there is no backend.
    """
    file = onnx.model_file(model)
    backend = _backend(backends)
    text = config(*_signature(file), wanted, backend=backend, file=file)
    shutil.rmtree(folder, ignore_errors=True)
    place = folder / wanted.name
    place.mkdir(parents=True)
    (place / "config.pbtxt").write_text(text, encoding="utf-8")
    version = place / "1"
    if backend == NATIVE:  # the folder, since external data lies beside the file
        version.symlink_to(file.parent.resolve())
        return
    version.mkdir()
    (version / "model.py").write_text(
        MODEL.format(places=[*filter(None, sys.path)]), encoding="utf-8"
    )


def config(
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    wanted: Wanted,
    *,
    backend: str,
    file: Path,
) -> str:
    """
    Write `config.pbtxt`.

    Raises:
        StartRefused: A tensor has no dimension, or requests cannot be joined as it is asked for.
    """
    tensors = [*inputs, *outputs]
    scalar = next((spec for spec in tensors if not spec.shape), None)
    if scalar is not None:
        raise StartRefused(
            f"`{scalar.name}` has no dimension, and Triton serves none without",
            fix="export it with a dimension, or use the runtime `onnx`",
        )
    # Triton takes the first dimension off for batches, and serves no tensor that has no other.
    batched = by_rows(tensors) and all(len(spec.shape) > 1 for spec in tensors)
    if wanted.joined > 1 and not batched:
        raise StartRefused(
            "requests cannot be joined: some tensors of the model have no free first dimension, "
            "or no other",
            fix="leave `batch-rows` out, or export the model with rows of at least one column",
        )
    lines = [
        f"name: {_text(wanted.name)}",
        f"backend: {_text(backend)}",
        f"max_batch_size: {wanted.batch if batched else 0}",
        *_tensors("input", inputs, batched=batched),
        *_tensors("output", outputs, batched=batched),
        "instance_group {",
        f"  count: {wanted.instances}",
        f"  kind: {'KIND_AUTO' if backend == NATIVE else 'KIND_CPU'}",
        "}",
        *_queue(wanted, batched=batched),
    ]
    if backend == NATIVE:
        lines.append(f"default_model_filename: {_text(file.name)}")
        lines += _parameter("intra_op_thread_count", "1")
        lines += _parameter("inter_op_thread_count", "1")
    else:
        lines += _parameter("model", str(file))
        lines += _parameter("rows", str(wanted.batch))
    return "\n".join(lines) + "\n"


def _backend(backends: Path) -> str:
    for name, library in ((NATIVE, "libtriton_onnxruntime.so"), ("python", "libtriton_python.so")):
        if (backends / name / library).is_file():
            return name
    raise StartRefused(
        f"there is neither an `{NATIVE}` nor a `python` backend in `{backends}`",
        fix="name the folder of a whole Triton as `--server`: it has `bin` and `backends`",
    )


def _signature(file: Path) -> tuple[list[TensorSpec], list[TensorSpec]]:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    inputs, outputs = onnx.signature(onnx.session(file, options))
    if "input_ids" in {spec.name for spec in inputs}:
        raise StartRefused(
            "the model reads tokens, and callers send text",
            fix="use the runtime `onnx`, which has the tokenizer",
        )
    return inputs, outputs


def _tensors(name: str, specs: Sequence[TensorSpec], *, batched: bool) -> list[str]:
    lines = []
    for spec in specs:
        shape = spec.shape[1:] if batched else spec.shape
        lines += [
            f"{name} {{",
            f"  name: {_text(spec.name)}",
            f"  data_type: {TYPES.get(spec.datatype, f'TYPE_{spec.datatype}')}",
            f"  dims: [{', '.join(map(str, shape))}]",
            "}",
        ]
    return lines


def _queue(wanted: Wanted, *, batched: bool) -> list[str]:
    lines = ["dynamic_batching {"]
    if batched and wanted.joined > 1:
        lines.append(f"  preferred_batch_size: [{min(wanted.joined, wanted.batch)}]")
        lines.append(f"  max_queue_delay_microseconds: {wanted.delay_ms * 1000}")
    lines += [f"  default_queue_policy {{ max_queue_size: {wanted.waiting} }}", "}"]
    return lines


def _parameter(name: str, value: str) -> list[str]:
    return [f"parameters {{ key: {_text(name)} value {{ string_value: {_text(value)} }} }}"]


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)
