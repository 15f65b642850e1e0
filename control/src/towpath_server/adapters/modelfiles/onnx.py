"""
Reads an ONNX model: its inputs and outputs, the operators that it needs, the files that it names.

Field numbers are those of `onnx.proto`. Weights are passed over, never read.
"""

import math
from dataclasses import dataclass, field
from pathlib import PurePosixPath, PureWindowsPath
from typing import Any

from towpath_server.adapters.modelfiles import reasons
from towpath_server.adapters.modelfiles.protobuf import BYTES, VARINT, Field, Message
from towpath_server.adapters.modelfiles.report import Notes, Unsound, listed
from towpath_server.adapters.modelfiles.window import Window

_MODEL_FIELDS = {1, 2, 3, 4, 5, 6, 7, 8, 14, 20, 25, 26}
_MAX_DEPTH = 32
_OVERRIDABLE = 4  # the format's version as of which an input's value in the file is a default only
# ONNX's own domains, and those that ONNX Runtime brings along.
_STANDARD = {
    "",
    "ai.onnx",
    "ai.onnx.ml",
    "ai.onnx.training",
    "ai.onnx.preview",
    "ai.onnx.preview.training",
    "com.microsoft",
    "com.microsoft.experimental",
    "com.microsoft.nchwc",
    "com.ms.internal.nhwc",
}
_REACHING = {"PyOp", "PythonOp", "ATen"}  # of `com.microsoft`: they call into Python
# TensorProto's data types as KServe names them, and their bits.
_TYPES: dict[int, tuple[str, int]] = {
    1: ("FP32", 32),
    2: ("UINT8", 8),
    3: ("INT8", 8),
    4: ("UINT16", 16),
    5: ("INT16", 16),
    6: ("INT32", 32),
    7: ("INT64", 64),
    8: ("BYTES", 0),
    9: ("BOOL", 8),
    10: ("FP16", 16),
    11: ("FP64", 64),
    12: ("UINT32", 32),
    13: ("UINT64", 64),
    16: ("BF16", 16),
    17: ("FP8", 8),
    18: ("FP8", 8),
    19: ("FP8", 8),
    20: ("FP8", 8),
    21: ("UINT4", 4),
    22: ("INT4", 4),
}
_SIGNATURE_TYPES = {name for name, _ in _TYPES.values()} - {"BF16", "FP8", "UINT4", "INT4"}


@dataclass
class _Found:
    domains: set[str] = field(default_factory=set)
    defined: set[str] = field(default_factory=set)
    reaching: set[str] = field(default_factory=set)
    external: dict[str, int] = field(default_factory=dict)
    """Names of files that hold tensors, and how long each must be at least."""
    initializers: set[str] = field(default_factory=set)
    inputs: list[dict[str, Any] | None] = field(default_factory=list)
    outputs: list[dict[str, Any] | None] = field(default_factory=list)
    nodes: int = 0
    parameters: int = 0
    bits: int = 0
    types: set[str] = field(default_factory=set)
    opsets: dict[str, int] = field(default_factory=dict)
    producer: str = ""
    ir: int = 0


def plausible(window: Window) -> bool:
    """Tell whether a file is a protobuf message with the fields of a model."""
    try:
        fields = list(Message.whole(window).fields())
    except Unsound:
        return False
    numbers = {one.number for one in fields}
    version = next((one for one in fields if one.number == 1), None)
    graph = any(one.number == 7 and one.wire == BYTES for one in fields)
    return bool(graph and numbers <= _MODEL_FIELDS and version and version.wire == VARINT)


def examine(window: Window, notes: Notes) -> None:
    """
    Note facts and findings of an ONNX model.

    Raises:
        Unsound: It ends early or is no model.
    """
    found = _Found()
    message = Message.whole(window)
    for one in message.fields():
        if one.number == 7 and one.wire == BYTES:
            _graph(message.inner(one), found, outermost=True)
        elif one.number == 8 and one.wire == BYTES:
            _opset(message.inner(one), found)
        elif one.number == 25 and one.wire == BYTES:
            _function(message.inner(one), found)
        elif one.number == 2 and one.wire == BYTES:
            found.producer = message.text(one)[:100]
        elif one.number == 1 and one.wire == VARINT:
            found.ir = one.value
    _judge(found, notes)
    notes.facts.update(_facts(found))


def _graph(graph: Message, found: _Found, *, outermost: bool = False, depth: int = 0) -> None:
    if depth > _MAX_DEPTH:
        raise Unsound(reasons.TOO_LARGE, f"Its graphs are nested more than {_MAX_DEPTH} deep.")
    for one in graph.fields():
        if one.wire != BYTES:
            continue
        if one.number == 1:
            _node(graph.inner(one), found, depth)
        elif one.number == 5:
            found.initializers.add(_tensor(graph.inner(one), found))
        elif one.number in {11, 12} and outermost:
            specs = found.inputs if one.number == 11 else found.outputs
            specs.append(_value(graph.inner(one)))


def _node(node: Message, found: _Found, depth: int) -> None:
    domain = kind = ""
    found.nodes += 1
    for one in node.fields():
        if one.number == 7 and one.wire == BYTES:
            domain = node.text(one)
        elif one.number == 4 and one.wire == BYTES:
            kind = node.text(one)
        elif one.number == 5 and one.wire == BYTES:
            _attribute(node.inner(one), found, depth)
    found.domains.add(domain)
    if kind in _REACHING:
        found.reaching.add(f"{domain}.{kind}")


def _attribute(attribute: Message, found: _Found, depth: int) -> None:
    for one in attribute.fields():
        if one.wire != BYTES:
            continue
        if one.number in {5, 10}:
            _tensor(attribute.inner(one), found)
        elif one.number in {6, 11}:
            _graph(attribute.inner(one), found, depth=depth + 1)


def _function(function: Message, found: _Found) -> None:
    for one in function.fields():
        if one.number == 7 and one.wire == BYTES:
            _node(function.inner(one), found, 0)
        elif one.number == 10 and one.wire == BYTES:
            found.defined.add(function.text(one))


def _opset(opset: Message, found: _Found) -> None:
    domain, version = "", 0
    for one in opset.fields():
        if one.number == 1 and one.wire == BYTES:
            domain = opset.text(one)
        elif one.number == 2:
            version = one.value
    if len(found.opsets) < 100:
        found.opsets[domain] = version


def _tensor(tensor: Message, found: _Found) -> str:
    """Count a tensor of weights; return its name."""
    name, kind, dims, external = "", 0, [], []
    for one in tensor.fields():
        if one.number == 1:
            dims += tensor.packed(one)
        elif one.number == 2 and one.wire == VARINT:
            kind = one.value
        elif one.number == 8 and one.wire == BYTES:
            name = tensor.text(one)
        elif one.number == 13 and one.wire == BYTES:
            external.append(_pair(tensor.inner(one)))
    elements = math.prod(dims)
    type_name, bits = _TYPES.get(kind, ("", 0))
    found.parameters += elements
    found.bits += elements * bits
    if elements > 1024:
        found.types.add(type_name)
    if external:
        _external(dict(external), -(-elements * bits // 8), found)
    return name


def _pair(entry: Message) -> tuple[str, str]:
    texts = {one.number: entry.text(one) for one in entry.fields() if one.wire == BYTES}
    return texts.get(1, ""), texts.get(2, "")


def _external(entry: dict[str, str], size: int, found: _Found) -> None:
    offset = int(entry["offset"]) if entry.get("offset", "").isdecimal() else 0
    given = int(entry["length"]) if entry.get("length", "").isdecimal() else size
    place = entry.get("location", "")
    if len(found.external) > 10_000:
        raise Unsound(reasons.TOO_LARGE, "It keeps tensors in more than 10,000 files.")
    found.external[place] = max(found.external.get(place, 0), offset + given)


def _value(value: Message) -> dict[str, Any] | None:
    """Read a named input or output; none when KServe has no words for it."""
    name = ""
    spec: dict[str, Any] | None = None
    for one in value.fields():
        if one.number == 1 and one.wire == BYTES:
            name = value.text(one)
        elif one.number == 2 and one.wire == BYTES:
            spec = _type(value.inner(one))
    return {"name": name, **spec} if spec else {"name": name}


def _type(kind: Message) -> dict[str, Any] | None:
    tensor = next((one for one in kind.fields() if one.number == 1 and one.wire == BYTES), None)
    if tensor is None:
        return None
    datatype, shape = "", None
    message = kind.inner(tensor)
    for one in message.fields():
        if one.number == 1 and one.wire == VARINT:
            datatype = _TYPES.get(one.value, ("", 0))[0]
        elif one.number == 2 and one.wire == BYTES:
            inner = message.inner(one)
            shape = [_dimension(inner, dim) for dim in inner.fields() if dim.number == 1]
    if datatype not in _SIGNATURE_TYPES or shape is None or len(shape) > 16:
        return None
    return {"datatype": datatype, "shape": shape}


def _dimension(shape: Message, dim: Field) -> int:
    for one in shape.inner(dim).fields():
        if one.number == 1 and one.wire == VARINT and 0 < one.value < 1 << 40:
            return one.value
    return -1


def _judge(found: _Found, notes: Notes) -> None:
    custom = sorted(found.domains - _STANDARD - found.defined)
    if custom:
        detail = f"Its graph uses operators of {listed(custom)}."
        notes.add(reasons.CUSTOM_OPERATORS, detail)
    if found.reaching:
        detail = f"Its graph uses {listed(sorted(found.reaching))}, which call Python."
        notes.add(reasons.CUSTOM_OPERATORS, detail)
    for place in sorted(found.external):
        if escapes(place):
            notes.add(reasons.ESCAPING_PATH, f"It reads tensors from `{place}`, outside the model.")


def escapes(path: str) -> bool:
    """Tell whether a path inside a file leads out of the folder that the file is in."""
    windows = PureWindowsPath(path)
    outside = windows.is_absolute() or bool(windows.drive or windows.root)
    parts = {*PurePosixPath(path).parts, *windows.parts}
    return not path or outside or ".." in parts or path.startswith("~") or "\0" in path


def _facts(found: _Found) -> dict[str, Any]:
    inputs = [one for one in found.inputs if one and one["name"] not in found.initializers]
    defaults = [one for one in found.inputs if one and one["name"] in found.initializers]
    quantized = found.types & {"INT8", "UINT8", "INT4", "UINT4", "FP8"}
    return {
        "nodes": found.nodes,
        "parameters": found.parameters,
        "weights_bytes": -(-found.bits // 8),
        "opsets": dict(sorted(found.opsets.items())),
        "producer": found.producer,
        "quantization": min(quantized) if quantized else None,
        "inputs": inputs[:1000],
        "outputs": [one for one in found.outputs if one][:1000],
        "defaults": defaults[:1000] if found.ir >= _OVERRIDABLE else [],
        "external": {place: size for place, size in found.external.items() if not escapes(place)},
    }
