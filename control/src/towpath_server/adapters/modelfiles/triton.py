"""Reads a Triton model's `config.pbtxt`: protobuf's text format, as configurations use it."""

import re
from collections.abc import Iterator
from typing import Any

from towpath_server.adapters.modelfiles import reasons
from towpath_server.adapters.modelfiles.onnx import escapes
from towpath_server.adapters.modelfiles.report import Notes, Unsound, listed

_MAX_BYTES = 1 << 20
_MAX_DEPTH = 16
_TOKEN = re.compile(
    r"""\s+|\#[^\n]*|(?P<name>[A-Za-z_][\w.]*)|(?P<text>"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')"""
    r"""|(?P<number>-?[0-9][\w.+-]*)|(?P<mark>[{}\[\]<>:,;])"""
)
_TYPES = {
    "TYPE_BOOL": "BOOL",
    "TYPE_UINT8": "UINT8",
    "TYPE_UINT16": "UINT16",
    "TYPE_UINT32": "UINT32",
    "TYPE_UINT64": "UINT64",
    "TYPE_INT8": "INT8",
    "TYPE_INT16": "INT16",
    "TYPE_INT32": "INT32",
    "TYPE_INT64": "INT64",
    "TYPE_FP16": "FP16",
    "TYPE_FP32": "FP32",
    "TYPE_FP64": "FP64",
    "TYPE_STRING": "BYTES",
}
_PYTHON_BACKENDS = {"python", "vllm", "dali"}

Fields = dict[str, list[Any]]
"""Every field has a list of values: text, or the fields of a message."""


def examine(data: bytes, notes: Notes) -> None:
    """
    Note what a configuration loads, and the model's signature.

    Raises:
        Unsound: It cannot be read.
    """
    if len(data) > _MAX_BYTES:
        raise Unsound(reasons.TOO_LARGE, f"The configuration has {len(data)} bytes.")
    config = parse(data.decode("utf-8", "replace"))
    backend, platform = _first(config, "backend"), _first(config, "platform")
    if backend in _PYTHON_BACKENDS:
        notes.add(reasons.MODEL_LOADER, f"The backend `{backend}` runs Python code of the model.")
    elif platform == "pytorch_libtorch" or backend == "pytorch":
        notes.add(reasons.TORCHSCRIPT, "The backend `pytorch` runs TorchScript.")
    _paths(config, notes)
    notes.facts.update(
        backend=backend or platform or None,
        max_batch_size=_whole(_first(config, "max_batch_size")),
        inputs=_tensors(config, "input"),
        outputs=_tensors(config, "output"),
        defaults=_tensors(config, "input", optional=True),
    )


def _paths(config: Fields, notes: Notes) -> None:
    named = [str(one) for one in config.get("default_model_filename", [])]
    for entry in config.get("cc_model_filenames", []):
        named += [str(one) for one in entry.get("value", [])] if isinstance(entry, dict) else []
    for entry in config.get("parameters", []):
        if isinstance(entry, dict) and _first(entry, "key") == "EXECUTION_ENV_PATH":
            value = entry.get("value", [{}])[0]
            text = _first(value, "string_value") if isinstance(value, dict) else str(value)
            named.append(text.replace("$$TRITON_MODEL_DIRECTORY/", ""))
            notes.add(reasons.MODEL_LOADER, "`EXECUTION_ENV_PATH` names a Python of its own.")
    outside = [name for name in named if escapes(name)]
    if outside:
        notes.add(reasons.ESCAPING_PATH, f"It names {listed(outside)}, outside the model.")


def _tensors(config: Fields, name: str, *, optional: bool = False) -> list[dict[str, Any]]:
    batched = (_whole(_first(config, "max_batch_size")) or 0) > 0
    found: list[dict[str, Any]] = []
    for entry in _entries(config.get(name, [])):
        if optional and _first(entry, "optional") != "true":
            continue
        datatype = _TYPES.get(_first(entry, "data_type"))
        if datatype is None:
            found.append({"name": _first(entry, "name")})
            continue
        dims = [number for one in entry.get("dims", []) if (number := _whole(str(one))) is not None]
        shape = ([-1] if batched else []) + dims
        found.append({"name": _first(entry, "name"), "datatype": datatype, "shape": shape[:16]})
    return found[:1000]


def _entries(values: list[Any]) -> Iterator[Fields]:
    return (one for one in values if isinstance(one, dict))


def _first(fields: Fields, name: str) -> str:
    values = fields.get(name, [])
    return str(values[0]) if values and not isinstance(values[0], dict) else ""


def _whole(text: str) -> int | None:
    return int(text) if re.fullmatch(r"-?[0-9]{1,9}", text) else None


def parse(text: str) -> Fields:
    """
    Read a message in protobuf's text format.

    Raises:
        Unsound: It is none.
    """
    tokens = list(_tokens(text))
    fields, at = _message(tokens, 0, "", 0)
    if at != len(tokens):
        raise Unsound(reasons.MALFORMED, "The configuration is no protobuf text.")
    return fields


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise Unsound(reasons.MALFORMED, f"The configuration has `{text[at : at + 20]}`.")
        at = match.end()
        if match.lastgroup is not None:
            value = match[match.lastgroup]
            yield match.lastgroup, value[1:-1] if match.lastgroup == "text" else value


def _message(
    tokens: list[tuple[str, str]], at: int, closing: str, depth: int
) -> tuple[Fields, int]:
    if depth > _MAX_DEPTH:
        raise Unsound(reasons.TOO_LARGE, "The configuration is nested too deep.")
    fields: Fields = {}
    while at < len(tokens):
        kind, text = tokens[at]
        if closing and (kind, text) == ("mark", closing):
            return fields, at + 1
        if kind == "mark" and text in ",;":
            at += 1
            continue
        if kind != "name":
            raise Unsound(
                reasons.MALFORMED, f"The configuration has `{text}` where a field begins."
            )
        values, at = _values(tokens, at + 1, depth)
        fields.setdefault(text, []).extend(values)
    if closing:
        raise Unsound(reasons.TRUNCATED, "The configuration ends within a message.")
    return fields, at


def _values(tokens: list[tuple[str, str]], at: int, depth: int) -> tuple[list[Any], int]:
    if at < len(tokens) and tokens[at] == ("mark", ":"):
        at += 1
    if at >= len(tokens):
        raise Unsound(reasons.TRUNCATED, "The configuration ends within a field.")
    if tokens[at] != ("mark", "["):
        value, at = _value(tokens, at, depth)
        return [value], at
    found = []
    at += 1
    while at < len(tokens) and tokens[at] != ("mark", "]"):
        if tokens[at] == ("mark", ","):
            at += 1
            continue
        value, at = _value(tokens, at, depth)
        found.append(value)
    return found, at + 1


def _value(tokens: list[tuple[str, str]], at: int, depth: int) -> tuple[Any, int]:
    kind, text = tokens[at]
    if kind != "mark":
        return text, at + 1
    if text not in "{<":
        raise Unsound(reasons.MALFORMED, f"The configuration has `{text}` where a value begins.")
    return _message(tokens, at + 1, "}" if text == "{" else ">", depth + 1)
