"""What a model takes and gives, put together from what its files tell."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from towpath_server.adapters.modelfiles.documents import SIGNATURE
from towpath_server.adapters.modelfiles.report import Examined

_MAX_NAME = 200
_TOKEN_INPUTS = {"input_ids", "attention_mask", "token_type_ids"}
# Which files tell it, where there are several: those that the servers go by.
_KINDS = {"onnx": ("onnx", "mlmodel", "pbtxt"), "mlflow": ("onnx",)}
_TEXT = {"name": "text", "datatype": "BYTES", "shape": [-1]}

Spec = Mapping[str, Any]
"""Name, datatype and shape of a tensor; the name alone where KServe has no form for it."""


@dataclass(frozen=True)
class Tensors:
    """What a model takes and gives; an empty half is one that its file does not tell."""

    inputs: Sequence[Spec]
    outputs: Sequence[Spec]
    defaults: Sequence[Spec] = ()
    """Inputs that callers may leave out."""
    columns: bool = False
    """Whether they are told as columns of a table: a row then has one value of each."""
    behind: "Tensors | None" = None
    """Those of the file itself, where a tokenizer is put in front of it."""

    @property
    def nameless(self) -> list[str]:
        """Name those that KServe has no form for."""
        return [one["name"] for one in (*self.inputs, *self.outputs) if not formed(one)]

    @property
    def signature(self) -> Mapping[str, Any] | None:
        """Write them as KServe does; none where it has no form for one: half would be wrong."""
        if not self.inputs or not self.outputs or self.nameless:
            return None
        return {"inputs": list(self.inputs), "outputs": list(self.outputs)}


def formed(one: Spec) -> bool:
    """Tell whether KServe has a form for a tensor."""
    return "datatype" in one and 0 < len(one["name"]) <= _MAX_NAME


def of_model(form: str, files: Sequence[tuple[str, int, Examined]]) -> Tensors | None:
    """
    Return what the one model file that tells it takes and gives, else what `signature.json` says.

    What is derived from a skops file stands back behind what was written.

    Args:
        form: The format of the model, whose own file comes first.
        files: Path, size in bytes and what was found, of every file.
    """
    kinds = _KINDS.get(form, ("mlmodel", "pbtxt", "onnx"))
    for kind in kinds:
        having = [(path, one) for path, _, one in files if one.kind == kind]
        if len(having) == 1:
            path, examined = having[0]
            beside = (PurePosixPath(path).parent / "tokenizer.json").as_posix()
            read = _read(examined, columns=kind == "mlmodel")
            return _behind_tokenizer(read) if any(at == beside for at, _, _ in files) else read
    written = [_read(one) for path, _, one in files if path == SIGNATURE]
    derived = [_read(one) for _, _, one in files if one.kind == "skops"]
    told = [_read(one, columns=True) for _, _, one in files if one.kind == "mlmodel"]
    return next(iter([*written, *derived, *told]), None)


def _read(examined: Examined, *, columns: bool = False) -> Tensors:
    parts = (examined.facts.get(part) or [] for part in ("inputs", "outputs", "defaults"))
    return Tensors(*parts, columns=columns)


def _behind_tokenizer(read: Tensors) -> Tensors:
    """Put the tokenizer in front, as the runtime does: text in, one vector a text out."""
    names = {one["name"] for one in read.inputs}
    if "input_ids" not in names or not names <= _TOKEN_INPUTS:
        return read
    if not read.outputs or read.nameless:
        return Tensors([_TEXT], [], behind=read)
    shape = read.outputs[0]["shape"]
    vector = {"name": "embedding", "datatype": "FP32", "shape": [-1, shape[-1] if shape else -1]}
    return Tensors([_TEXT], [vector], behind=read)
