"""
Inputs and outputs of an ONNX file: the few fields of `onnx.proto3` that they stand in.

Weights are skipped, so that a file of many gigabytes takes no longer than a small one.
"""

import mmap
from collections.abc import Iterator
from pathlib import Path

from towpath.cli.modelfile.found import Tensor

# TensorProto.DataType → the datatypes of the KServe Open Inference Protocol.
_DATATYPES = {
    1: "FP32", 2: "UINT8", 3: "INT8", 4: "UINT16", 5: "INT16", 6: "INT32", 7: "INT64", 8: "BYTES",
    9: "BOOL", 10: "FP16", 11: "FP64", 12: "UINT32", 13: "UINT64", 16: "BF16",
}  # fmt: skip
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
# Field numbers: ModelProto.graph; of GraphProto; of TensorProto; of ValueInfoProto; of TypeProto …
_GRAPH = 7
_INITIALIZER, _INPUT, _OUTPUT = 5, 11, 12
_TENSOR_NAME = 8
_NAME, _TYPE = 1, 2
_TENSOR_TYPE = 1
_ELEM_TYPE, _SHAPE = 1, 2
_DIM = 1
_DIM_VALUE = 1
_MAX_TENSORS = 1_000

Span = tuple[int, int]
Data = mmap.mmap


def signature(path: Path) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """
    Return inputs and outputs.

    Raises:
        ValueError: It is no ONNX file.
    """
    with path.open("rb") as file:
        try:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError as error:
            raise ValueError("it is empty") from error
        with data:
            graph = _one(data, (0, len(data)), _GRAPH)
            if graph is None:
                raise ValueError("it has no graph of a model")
            weights = {_name(data, span, _TENSOR_NAME) for span in _all(data, graph, _INITIALIZER)}
            inputs = [t for t in _tensors(data, graph, _INPUT) if t.name not in weights]
            return tuple(inputs), tuple(_tensors(data, graph, _OUTPUT))


def _tensors(data: Data, graph: Span, field: int) -> Iterator[Tensor]:
    for number, span in enumerate(_all(data, graph, field)):
        if number >= _MAX_TENSORS:
            raise ValueError(f"it has more than {_MAX_TENSORS} inputs or outputs")
        kind = _one(data, span, _TYPE)
        tensor = _one(data, kind, _TENSOR_TYPE) if kind else None
        if tensor is None:  # a sequence or a map
            yield Tensor(_name(data, span, _NAME), "BYTES", (-1,))
            continue
        element = next((v for f, v in _fields(data, tensor) if f == _ELEM_TYPE), 0)
        shape = _one(data, tensor, _SHAPE)
        sizes = tuple(_size(data, one) for one in _all(data, shape, _DIM)) if shape else (-1,)
        datatype = _DATATYPES.get(element if isinstance(element, int) else 0, "BYTES")
        yield Tensor(_name(data, span, _NAME), datatype, sizes)


def _size(data: Data, dimension: Span) -> int:
    value = next((v for f, v in _fields(data, dimension) if f == _DIM_VALUE), None)
    return value if isinstance(value, int) and value > 0 else -1


def _name(data: Data, span: Span, field: int) -> str:
    found = _one(data, span, field)
    return data[found[0] : found[1]].decode("utf-8", "replace") if found else ""


def _one(data: Data, span: Span, field: int) -> Span | None:
    return next(_all(data, span, field), None)


def _all(data: Data, span: Span, field: int) -> Iterator[Span]:
    for number, value in _fields(data, span):
        if number == field and isinstance(value, tuple):
            yield value


def _fields(data: Data, span: Span) -> Iterator[tuple[int, int | Span]]:
    """Yield number and value of each field: an integer, or where its bytes stand."""
    at, end = span
    while at < end:
        key, at = _varint(data, at, end)
        number, wire = key >> 3, key & 7
        if wire == _VARINT:
            value, at = _varint(data, at, end)
            yield number, value
        elif wire == _BYTES:
            size, at = _varint(data, at, end)
            if at + size > end:
                raise ValueError("it ends within one of its fields")
            yield number, (at, at + size)
            at += size
        elif wire in {_FIXED32, _FIXED64}:
            at += 4 if wire == _FIXED32 else 8
        else:
            raise ValueError("it is not written as ONNX files are")


def _varint(data: Data, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while at < end and shift < 64:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise ValueError("it is not written as ONNX files are")
