"""
A scikit-learn estimator as callers see it: named tensors in, the results of its methods out.

Outputs bear the names of the methods that give them: `predict`, `predict_proba`,
`decision_function`, `transform`. A model that was trained on a table takes its columns by name,
one that was trained on an array takes one tensor, one that begins with a vectorizer takes text.
"""

import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import skops.io
from skops.io.exceptions import UntrustedTypesFoundException

from towpath_runtimes.kserve import signature
from towpath_runtimes.kserve.errors import Refused
from towpath_runtimes.kserve.model import WORDS, Feed, by_rows, calling, joined, parted, plain
from towpath_runtimes.kserve.protocol import Answer, InferRequest
from towpath_runtimes.kserve.tensors import DTYPES, TensorSpec
from towpath_runtimes.listening import StartRefused
from towpath_runtimes.sklearn import derived

METHODS = ("predict", "predict_proba", "decision_function", "transform")
# The trees of forests and boosted models, which skops asks about: arrays, and no code.
TREES = (
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.tree._tree.Tree",
)


class Estimator:
    """A loaded estimator. Several threads may call it at once."""

    platform = "sklearn"

    def __init__(
        self,
        fitted: Any,
        inputs: Sequence[TensorSpec],
        outputs: Sequence[TensorSpec],
        *,
        rows: int,
        together: int,
    ) -> None:
        """
        Put a fitted estimator behind the protocol.

        Args:
            rows: Most rows of one request.
            together: Rows that several requests are joined to; 1: none is.

        Raises:
            StartRefused: The signature asks for what it cannot do.
        """
        self._fitted = fitted
        self._rows = rows
        self._together = together
        self.inputs = inputs
        self.outputs = outputs
        self._text = derived.reads_text(fitted)
        for spec in outputs:
            if spec.name not in METHODS or not hasattr(fitted, spec.name):
                able = ", ".join(f"`{name}`" for name in METHODS if hasattr(fitted, name))
                raise StartRefused(
                    f"the model has no method `{spec.name}`, which its signature names as output",
                    fix=f"name outputs by its methods: {able}",
                )
        if not by_rows([*inputs, *outputs]):
            raise StartRefused(
                "the signature has a tensor without a free first dimension",
                fix="write -1 as the first size of every shape: that of the rows",
            )
        if len(inputs) > 1 and any(len(spec.shape) != 1 for spec in inputs):
            raise StartRefused(
                "the signature has several inputs, and not each is a column of shape [-1]",
                fix="write one input of shape [-1, N], or one column for each name",
            )

    def prepare(self, request: InferRequest) -> Feed:
        """
        Check a request against the signature.

        Raises:
            Refused: It does not fit.
        """
        return plain(request, self.inputs, rows=self._rows, together=self._together)

    def run(self, feeds: Sequence[Feed]) -> Sequence[Answer]:
        """
        Call each method once for all of them.

        Raises:
            Refused: One of them raised a ValueError, whose words the caller is told, or failed.
        """
        table = self._table(joined(feeds))
        with calling():
            found = {spec.name: _dense(self._call(spec.name, table)) for spec in self.outputs}
        return parted({spec.name: signature.output(spec, found) for spec in self.outputs}, feeds)

    def _call(self, method: str, table: Any) -> Any:
        return getattr(self._fitted, method)(table)

    def _table(self, tensors: dict[str, np.ndarray]) -> Any:
        first = self.inputs[0]
        if self._text or len(first.shape) > 1:
            return tensors[first.name]
        return pd.DataFrame({spec.name: tensors[spec.name] for spec in self.inputs})


def load(file: Path, *, rows: int, together: int) -> Estimator:
    """
    Load a skops file; its signature stands beside it, or is read from the estimator.

    Raises:
        StartRefused: It is none, makes objects of types that are not trusted, or cannot be served.
    """
    fitted = _read(file)
    told = signature.beside(file.parent)
    if told is not None:
        inputs, outputs = (
            signature.specs(told, part, file=file.name) for part in ("inputs", "outputs")
        )
        return Estimator(fitted, inputs, outputs, rows=rows, together=together)
    found = derived.signature(fitted)
    if found is None:
        raise StartRefused(
            f"`{file.name}` does not say what its inputs and outputs are",
            fix=f"write `{signature.SIGNATURE}` beside it, and push the folder: "
            f"{signature.EXAMPLE}; outputs bear the names of methods, as `predict`",
        )
    loaded = Estimator(fitted, *found, rows=rows, together=together)
    _try(loaded, file)
    return loaded


def _try(loaded: Estimator, file: Path) -> None:
    """Answer a row of nothing, so that a signature that was read holds before anybody asks."""
    empty = {
        spec.name: np.full([1, *spec.shape[1:]], "" if spec.datatype == "BYTES" else 0).astype(
            DTYPES[spec.datatype]
        )
        for spec in loaded.inputs
    }
    try:
        loaded.run([Feed(empty, 1)])
    except Refused as refused:
        raise StartRefused(
            f"`{file.name}` does not answer as it says: {refused.message}",
            fix=f"write `{signature.SIGNATURE}` beside it, and push the folder: "
            f"{signature.EXAMPLE}",
        ) from refused


def _read(file: Path) -> Any:
    try:
        return skops.io.load(file, trusted=list(TREES))
    except UntrustedTypesFoundException as error:
        raise StartRefused(
            f"`{file.name}` makes objects of types that are not trusted: {error}",
            fix="export the model to ONNX (`skl2onnx`), or serve it as a class of the runtime "
            "`python`",
        ) from error
    except Exception as error:
        traceback.print_exc()
        raise StartRefused(
            f"`{file.name}` cannot be loaded: {type(error).__name__}: {str(error)[:WORDS]}",
            fix="save it anew with `skops.io.dump`, with the scikit-learn that is installed here",
        ) from error


def _dense(value: Any) -> Any:
    return value.toarray() if hasattr(value, "toarray") else value
