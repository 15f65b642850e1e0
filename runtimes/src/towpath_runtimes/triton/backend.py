"""
A model within Triton's Python backend: ONNX Runtime, for a Triton that has no backend for it.

Triton imports this in a process of the model's own, and calls it by the names it has here.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as triton  # pyrefly: ignore[missing-import]: Triton has it

from towpath_runtimes.kserve.engine import answers as compute
from towpath_runtimes.kserve.engine import together
from towpath_runtimes.kserve.errors import Refused
from towpath_runtimes.kserve.model import Feed
from towpath_runtimes.kserve.protocol import Answer, InferRequest
from towpath_runtimes.onnx import model as onnx

_CALLERS = 500  # statuses below are the caller's to mend


class TritonPythonModel:
    """One instance of the model. Triton calls it from one thread."""

    def initialize(self, args: dict[str, str]) -> None:
        """
        Load the model that the configuration names.

        Raises:
            StartRefused: It cannot be loaded; Triton writes that to its log and ends.
        """
        config = json.loads(args["model_config"])
        told = {name: value["string_value"] for name, value in config["parameters"].items()}
        joined = config["dynamic_batching"].get("preferred_batch_size") or [1]
        limits = onnx.Limits(batch=int(told["rows"]), tokens=1, joined=joined[0])
        self._model = onnx.load(Path(told["model"]), limits=limits)

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        """Answer each request, those of one kind together."""
        answers: list[Any] = [None] * len(requests)
        feeds: list[tuple[int, Feed]] = []
        for at, request in enumerate(requests):
            try:
                feeds.append((at, self._model.prepare(self._read(request))))
            except Refused as refused:
                answers[at] = _refusal(refused)
        # Triton has joined them already: those of one kind are computed at once, however many.
        rows = sum(feed.rows for _, feed in feeds)
        for group in together([feed for _, feed in feeds], rows):
            members = [feeds[place] for place in group]
            computed = compute(self._model, [feed for _, feed in members])
            for (at, _), answer in zip(members, computed, strict=True):
                answers[at] = _written(answer, requests[at].requested_output_names())
        return answers

    def _read(self, request: Any) -> InferRequest:
        inputs: dict[str, np.ndarray] = {}
        for tensor in request.inputs():
            array = tensor.as_numpy()
            inputs[tensor.name()] = _decoded(tensor.name(), array) if array.dtype == "O" else array
        types = {spec.name: spec.datatype for spec in self._model.inputs}
        return InferRequest(
            inputs=inputs,
            datatypes={name: types.get(name, "") for name in inputs},
            parameters={},
            outputs=None,
            binary=False,
            id=None,
        )


def _decoded(name: str, array: np.ndarray) -> np.ndarray:
    try:
        texts = [one.decode() if isinstance(one, bytes) else one for one in array.ravel()]
    except UnicodeDecodeError as error:
        raise Refused(f"input `{name}`: {error}") from error
    found = np.empty(len(texts), dtype=object)
    found[:] = texts
    return found.reshape(array.shape)


def _written(answer: Answer | Refused, wanted: Sequence[str]) -> Any:
    if isinstance(answer, Refused):
        return _refusal(answer)
    tensors = []
    for name, (_, value) in answer.outputs.items():
        if name in wanted:
            tensors.append(triton.Tensor(name, np.ascontiguousarray(value)))
    return triton.InferenceResponse(output_tensors=tensors)


def _refusal(refused: Refused) -> Any:
    kind = triton.TritonError
    code = kind.INVALID_ARG if refused.status < _CALLERS else kind.INTERNAL
    return triton.InferenceResponse(error=kind(refused.message, code))
