"""
An ONNX model as callers see it: named tensors in, named tensors out.

A model whose inputs are token ids gets its tokenizer (`tokenizer.json` beside it) put in front, so
that callers send text; where it answers with one vector per token, those become one unit vector per
text.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnxruntime
import onnxruntime.capi.onnxruntime_pybind11_state as engine
from tokenizers import Encoding, Tokenizer

from towpath_runtimes.kserve.errors import Refused
from towpath_runtimes.kserve.model import Feed, by_rows, check, joined, kind_of, parted
from towpath_runtimes.kserve.protocol import Answer, InferRequest
from towpath_runtimes.kserve.tensors import TensorSpec
from towpath_runtimes.listening import StartRefused

ONNX_TYPES = {
    "tensor(bool)": "BOOL",
    "tensor(uint8)": "UINT8",
    "tensor(uint16)": "UINT16",
    "tensor(uint32)": "UINT32",
    "tensor(uint64)": "UINT64",
    "tensor(int8)": "INT8",
    "tensor(int16)": "INT16",
    "tensor(int32)": "INT32",
    "tensor(int64)": "INT64",
    "tensor(float16)": "FP16",
    "tensor(float)": "FP32",
    "tensor(double)": "FP64",
    "tensor(string)": "BYTES",
}
ENGINE_ERRORS = (
    engine.EPFail,
    engine.EngineError,
    engine.Fail,
    engine.InvalidArgument,
    engine.InvalidGraph,
    engine.InvalidProtobuf,
    engine.NoSuchFile,
    engine.NotImplemented,
    engine.RuntimeException,
)
TOKEN_INPUTS = {"input_ids", "attention_mask", "token_type_ids"}
TEXT = TensorSpec("text", "BYTES", (-1,))
LONGEST_TEXT = 1 << 20  # characters; tokenizing more would hold up the others for seconds
TEXTS_AT_ONCE = 16  # texts of like length; more gain nothing on a CPU and only pad
NORM_MINIMUM = 1e-12  # keeps a text of no weight from dividing by zero


@dataclass(frozen=True)
class Limits:
    """Bounds of one request, and of several together."""

    batch: int
    tokens: int
    joined: int = 1
    """Rows that several requests are joined to."""


class Model:
    """A loaded model. Several threads may call it at once."""

    platform = "onnxruntime_onnx"

    def __init__(
        self, session: onnxruntime.InferenceSession, tokenizer: Tokenizer | None, limits: Limits
    ) -> None:
        self._session = session
        self._limits = limits
        taken, given = signature(session)
        self.inputs = taken
        self.outputs = given
        self._defaults = [_spec(node) for node in session.get_overridable_initializers()]
        self._tokenizer = tokenizer
        if tokenizer is not None:
            self._defaults = []
            self._token_inputs = [spec.name for spec in taken]
            self._vector = given[0]
            self.inputs = [TEXT]
            self.outputs = [TensorSpec("embedding", "FP32", (-1, given[0].shape[-1]))]
        if limits.joined > 1 and not by_rows([*self.inputs, *self.outputs]):
            raise StartRefused(
                "requests cannot be joined: some tensors of the model have no free first dimension",
                fix="leave `batch-rows` out, or export the model with a dynamic batch dimension",
            )

    def prepare(self, request: InferRequest) -> Feed:
        """
        Check a request; texts become tokens.

        Raises:
            Refused: The request does not fit the model.
        """
        rows = check(request, self.inputs, rows=self._limits.batch, defaults=self._defaults)
        if self._tokenizer is not None:
            return Feed(self._encoded(self._tokenizer, request), rows, kind="text")
        if request.parameters:
            raise Refused(f"the model takes no parameter `{next(iter(request.parameters))}`")
        # A default that is set counts for all rows of a call, so such a call is not joined.
        alone = self._limits.joined == 1 or len(request.inputs) > len(self.inputs)
        kind = None if alone else kind_of(request.inputs)
        return Feed(request.inputs, rows, kind)

    def run(self, feeds: Sequence[Feed]) -> Sequence[Answer]:
        """
        Answer feeds of one kind, all in one call of the engine.

        Raises:
            Refused: The model failed on them.
        """
        try:
            return self._tensors(feeds) if self._tokenizer is None else self._embeddings(feeds)
        except ENGINE_ERRORS as error:
            raise Refused(
                f"the model failed on these inputs: {_first_line(error)}", status=500
            ) from error

    def _tensors(self, feeds: Sequence[Feed]) -> list[Answer]:
        values = self._run([spec.name for spec in self.outputs], joined(feeds))
        told = zip(self.outputs, values, strict=True)
        return parted({spec.name: (spec.datatype, value) for spec, value in told}, feeds)

    def _run(self, outputs: list[str], feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        # The engine has sequences and maps as well; `_spec` lets no model with those start.
        return cast(list[np.ndarray], self._session.run(outputs, feed))

    def _encoded(self, tokenizer: Tokenizer, request: InferRequest) -> list[Encoding]:
        cut = _truncate(request.parameters)
        texts = list(request.inputs[TEXT.name])
        for at, text in enumerate(texts):
            if len(text) > LONGEST_TEXT:
                raise Refused(
                    f"input `text`: value {at} has {len(text)} characters, "
                    f"at most {LONGEST_TEXT} are taken"
                )
        encoded = tokenizer.encode_batch(texts)
        if cut:
            for one in encoded:
                one.truncate(self._limits.tokens)
        for at, one in enumerate(encoded):
            if len(one) > self._limits.tokens:
                raise Refused(
                    f"input `text`: value {at} has {len(one)} tokens, "
                    f"the model reads {self._limits.tokens}; shorten or split it, "
                    "or send the parameter `truncate: true` to have its end cut off"
                )
        return encoded

    def _embeddings(self, feeds: Sequence[Feed]) -> list[Answer]:
        encoded: list[Encoding] = [one for feed in feeds for one in feed.content]
        by_length = sorted(range(len(encoded)), key=lambda at: len(encoded[at]))
        size = max(self.outputs[0].shape[-1], 0)
        vectors = np.empty((len(encoded), size), dtype=np.float32)
        for start in range(0, len(by_length), TEXTS_AT_ONCE):
            places = by_length[start : start + TEXTS_AT_ONCE]
            vectors[places] = self._vectors_of([encoded[at] for at in places])
        answers = parted({"embedding": ("FP32", vectors)}, feeds)
        for feed, answer in zip(feeds, answers, strict=True):
            answer.parameters["input_tokens"] = sum(len(one) for one in feed.content)
        return answers

    def _vectors_of(self, encoded: list[Encoding]) -> np.ndarray:
        width = max(len(one) for one in encoded)
        feed = {
            name: np.zeros((len(encoded), width), dtype=np.int64) for name in self._token_inputs
        }
        mask = np.zeros((len(encoded), width, 1), dtype=np.float32)
        for row, one in enumerate(encoded):
            columns = {
                "input_ids": one.ids,
                "attention_mask": one.attention_mask,
                "token_type_ids": one.type_ids,
            }
            for name, values in feed.items():
                values[row, : len(one)] = columns[name]
            mask[row, : len(one)] = 1
        value = self._run([self._vector.name], feed)[0]
        pooled = (value * mask).sum(axis=1) / mask.sum(axis=1) if value.ndim == 3 else value
        norms = np.linalg.norm(pooled, axis=1, keepdims=True)
        return (pooled / np.maximum(norms, NORM_MINIMUM)).astype(np.float32, copy=False)


def load(path: Path, *, limits: Limits) -> Model:
    """
    Load the model of a folder or file.

    Raises:
        StartRefused: There is no model, it is damaged, or it needs a tokenizer that is not there.
    """
    file = model_file(path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = (
        1  # a request computes on one core; requests run beside each other
    )
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry("session.inter_op.allow_spinning", "0")
    opened = session(file, options)
    names = {node.name for node in opened.get_inputs()}
    tokenizer = _tokenizer(file, names, limits) if "input_ids" in names else None
    return Model(opened, tokenizer, limits)


def session(file: Path, options: onnxruntime.SessionOptions) -> onnxruntime.InferenceSession:
    """
    Load a file.

    Raises:
        StartRefused: It cannot be loaded.
    """
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    except ENGINE_ERRORS as error:
        raise StartRefused(
            f"`{file}` cannot be loaded: {_first_line(error)}", fix=_load_fix(str(error))
        ) from error


def signature(
    session: onnxruntime.InferenceSession,
) -> tuple[list[TensorSpec], list[TensorSpec]]:
    """
    Return what a loaded graph takes and gives.

    Raises:
        StartRefused: A tensor is of a type that the protocol does not have.
    """
    taken = [_spec(node) for node in session.get_inputs()]
    return taken, [_spec(node) for node in session.get_outputs()]


def model_file(path: Path) -> Path:
    """
    Find the ONNX file of a folder: `model.onnx`, or the only one.

    Raises:
        StartRefused: There is none, or the choice is not clear.
    """
    if path.is_file():
        return path
    found = sorted(path.glob("*.onnx")) if path.is_dir() else []
    if path / "model.onnx" in found:
        return path / "model.onnx"
    if len(found) != 1:
        raise StartRefused(
            f"`{path}` holds {len(found)} ONNX files"
            if path.is_dir()
            else f"there is no model at `{path}`",
            fix="name the model `model.onnx`, or point `--model` at the file",
        )
    return found[0]


def _tokenizer(file: Path, names: set[str], limits: Limits) -> Tokenizer:
    place = file.parent / "tokenizer.json"
    if not place.is_file():
        raise StartRefused(
            f"the model's inputs are {', '.join(sorted(names))}, "
            f"and there is no tokenizer beside `{file}`",
            fix="put the model's `tokenizer.json` into its folder",
        )
    if names - TOKEN_INPUTS:
        raise StartRefused(
            f"the model has the inputs {', '.join(sorted(names - TOKEN_INPUTS))} beside its tokens",
            fix="export it with token inputs alone: input_ids, attention_mask, token_type_ids",
        )
    try:
        tokenizer = Tokenizer.from_file(str(place))
    except Exception as error:
        raise StartRefused(
            f"`{place}` is not a tokenizer: {error}", fix="take the model's own file"
        ) from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    if limits.tokens < tokenizer.num_special_tokens_to_add(is_pair=False) + 1:
        raise StartRefused(
            f"`--max-tokens {limits.tokens}` leaves no room for text", fix="give a larger number"
        )
    return tokenizer


def _spec(node: Any) -> TensorSpec:
    if node.type not in ONNX_TYPES:
        raise StartRefused(
            f"`{node.name}` is of type {node.type}, which the protocol does not have",
            fix="export plain tensors (for scikit-learn: `options={'zipmap': False}`)",
        )
    shape = tuple(size if isinstance(size, int) and size >= 0 else -1 for size in node.shape)
    return TensorSpec(node.name, ONNX_TYPES[node.type], shape)


def _truncate(parameters: dict[str, Any]) -> bool:
    for name in parameters:
        if name != "truncate":
            raise Refused(f"the model takes no parameter `{name}`, it takes `truncate`")
    value = parameters.get("truncate", False)
    if not isinstance(value, bool):
        raise Refused("the parameter `truncate` must be true or false")
    return value


def _load_fix(message: str) -> str:
    if "locale" in message:  # the engine's StringNormalizer, as scikit-learn's converter writes it
        return "set the attribute `locale` of its StringNormalizer to `C`, or install en_US.UTF-8"
    return "check that it is a whole ONNX file, with its external data beside it"


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0][:300] if str(error).strip() else type(error).__name__
