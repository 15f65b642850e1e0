"""
A user's class as a model.

The folder has a `model.py` with a class `Model`. `load(folder)`, if there is one, is called once;
`predict(inputs)` gets arrays by name and returns arrays by name.
What it takes and gives stands in `signature.json` beside it, or in the attributes `inputs` and
`outputs`, each a list of `{"name", "datatype", "shape"}`.
"""

import importlib.util
import inspect
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from towpath_runtimes.kserve import signature
from towpath_runtimes.kserve.model import WORDS, Feed, by_rows, calling, joined, parted, plain
from towpath_runtimes.kserve.protocol import Answer, InferRequest
from towpath_runtimes.listening import StartRefused

FILE, CLASS = "model.py", "Model"


class UserModel:
    """An instance of the user's class. One thread calls it."""

    platform = "python"

    def __init__(self, instance: Any, told: Mapping[str, Any], *, rows: int, together: int) -> None:
        """
        Put a loaded instance behind the protocol.

        Args:
            rows: Most rows of one request.
            together: Rows that several requests are joined to; 1: none is.

        Raises:
            StartRefused: The signature is none, or has no batch dimension to join along.
        """
        self._predict = instance.predict
        self._rows = rows
        self._together = together
        self.inputs = signature.specs(told, "inputs", file=FILE)
        self.outputs = signature.specs(told, "outputs", file=FILE)
        if together > 1 and not by_rows([*self.inputs, *self.outputs]):
            raise StartRefused(
                "requests cannot be joined: some tensors of the model have no free first dimension",
                fix="leave `batch-rows` out, or write -1 as the first size of every shape",
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
        Call `predict` once for all of them.

        Raises:
            Refused: It raised a ValueError, whose words the caller is told, or failed.
        """
        with calling():
            found = self._predict(joined(feeds))
        return parted({spec.name: signature.output(spec, found) for spec in self.outputs}, feeds)


def load(folder: Path, *, rows: int, together: int) -> UserModel:
    """
    Load a folder's class.

    Raises:
        StartRefused: There is none, it cannot be loaded, or it has no signature.
    """
    module = _module(folder)
    made = getattr(module, CLASS, None)
    if not inspect.isclass(made) or not callable(getattr(made, "predict", None)):
        raise StartRefused(
            f"`{folder / FILE}` has no class `{CLASS}` with a method `predict`",
            fix=f"write `class {CLASS}:` with `load(self, folder)` and `predict(self, inputs)`",
        )
    try:
        instance: Any = made()
        if callable(getattr(instance, "load", None)):
            instance.load(folder)
    except Exception as error:
        traceback.print_exc()
        raise StartRefused(
            f"`{CLASS}` cannot be loaded: {type(error).__name__}: {str(error)[:WORDS]}",
            fix="see the traceback above; `load` gets the folder with the model's files",
        ) from error
    return UserModel(instance, _signature(folder, instance), rows=rows, together=together)


def _module(folder: Path) -> ModuleType:
    file = folder / FILE
    spec = importlib.util.spec_from_file_location("model", file)
    if not file.is_file() or spec is None or spec.loader is None:
        raise StartRefused(
            f"there is no `{file}`", fix=f"put a `{FILE}` with a class `{CLASS}` into the folder"
        )
    module = importlib.util.module_from_spec(spec)
    sys.modules["model"] = module
    sys.path.insert(0, str(folder))  # what lies beside it may be imported by name
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        traceback.print_exc()
        raise StartRefused(
            f"`{file}` cannot be imported: {type(error).__name__}: {str(error)[:WORDS]}",
            fix="see the traceback above; import what the platform's environment has, or put it "
            "into the folder",
        ) from error
    return module


def _signature(folder: Path, instance: Any) -> Mapping[str, Any]:
    found = signature.beside(folder)
    return (
        {part: getattr(instance, part, None) for part in ("inputs", "outputs")}
        if found is None
        else found
    )
