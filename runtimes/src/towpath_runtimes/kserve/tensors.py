"""
Tensors as the KServe protocol writes them, to and from numpy.

Values are checked strictly: a type that would have to be converted, a number out of range or a
shape that does not fit is refused with the input's name and the place of the value.
"""

import itertools
import math
import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

from towpath_runtimes.kserve.errors import Refused

DTYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype(np.uint8),
    "UINT16": np.dtype(np.uint16),
    "UINT32": np.dtype(np.uint32),
    "UINT64": np.dtype(np.uint64),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype(np.int16),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
    "FP16": np.dtype(np.float16),
    "FP32": np.dtype(np.float32),
    "FP64": np.dtype(np.float64),
    "BYTES": np.dtype(np.object_),
}
JSON_TYPES: dict[str, tuple[set[type], str]] = {
    "b": ({bool}, "true or false"),
    "u": ({int}, "an integer"),
    "i": ({int}, "an integer"),
    "f": ({int, float}, "a number"),
    "O": ({str}, "a string"),
}
DIMENSIONS_MAXIMUM = 8  # no model has more; keeps nesting shallow
LENGTH = struct.Struct("<I")  # before each element of a binary BYTES tensor


@dataclass(frozen=True)
class TensorSpec:
    """Name, type and shape of an input or output; -1 is any size."""

    name: str
    datatype: str
    shape: tuple[int, ...]

    def check(self, shape: tuple[int, ...]) -> None:
        """
        Compare a tensor's shape with this one.

        Raises:
            Refused: It has other dimensions.
        """
        fits = len(shape) == len(self.shape) and all(
            want in (-1, have) for want, have in zip(self.shape, shape, strict=True)
        )
        if not fits:
            raise Refused(
                f"input `{self.name}` has shape {list(shape)}, the model takes {list(self.shape)}"
            )


def from_json(name: str, datatype: str, shape: tuple[int, ...], data: object) -> np.ndarray:
    """
    Read a tensor's `data`, flat or nested.

    Raises:
        Refused: A value has the wrong type or range, or there are too many or too few.
    """
    flat = flatten(name, data)
    wanted = math.prod(shape)
    if len(flat) != wanted:
        raise Refused(
            f"input `{name}` has {len(flat)} values, its shape {list(shape)} asks for {wanted}"
        )
    dtype = DTYPES[datatype]
    types, words = JSON_TYPES[dtype.kind]
    if not set(map(type, flat)) <= types:
        at = next(i for i, value in enumerate(flat) if type(value) not in types)
        raise Refused(f"input `{name}`: value {at} is {kind(flat[at])}, `{datatype}` takes {words}")
    if dtype.kind == "O":
        return text_array(name, flat, shape)
    try:
        array = np.array(flat, dtype=np.float64 if dtype.kind == "f" else dtype)
    except OverflowError as error:
        raise Refused(f"input `{name}`: a value is out of range for `{datatype}`") from error
    with np.errstate(over="ignore"):
        narrow = array.astype(dtype, copy=False)
    if dtype.kind == "f" and not np.isfinite(narrow).all():
        at = int(np.flatnonzero(~np.isfinite(narrow))[0])
        raise Refused(f"input `{name}`: value {at} is out of range for `{datatype}`")
    return narrow.reshape(shape)


def flatten(name: str, data: object) -> list[Any]:
    """
    Bring nested lists into row-major order.

    Raises:
        Refused: It is no list, is ragged, or nests deeper than any tensor.
    """
    if not isinstance(data, list):
        raise Refused(f"input `{name}`: `data` must be an array, not {kind(data)}")
    flat = data
    for _ in range(DIMENSIONS_MAXIMUM):
        nested = sum(isinstance(value, list) for value in flat)
        if nested == 0:
            return flat
        if nested != len(flat) or len({len(part) for part in flat}) != 1:
            raise Refused(f"input `{name}`: `data` is ragged: its arrays differ in length or depth")
        flat = list(itertools.chain.from_iterable(flat))
    raise Refused(f"input `{name}`: `data` nests deeper than {DIMENSIONS_MAXIMUM} levels")


def kind(value: object) -> str:
    """Name a JSON value's type in a message."""
    names: dict[type, str] = {
        dict: "an object",
        list: "an array",
        str: "a string",
        bool: "true or false",
        type(None): "null",
    }
    return names.get(type(value), "an integer" if isinstance(value, int) else "a number")


def text_array(name: str, values: list[str], shape: tuple[int, ...]) -> np.ndarray:
    """
    Put strings into an array of objects.

    Raises:
        Refused: One of them is not valid Unicode, or holds a zero character, which the engine takes
        for its end.
    """
    for at, value in enumerate(values):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise Refused(
                f"input `{name}`: value {at} holds half of a surrogate pair, which is no text"
            ) from error
        if "\0" in value:
            raise Refused(
                f"input `{name}`: value {at} holds a zero character, which the model cannot read"
            )
    array = np.empty(len(values), dtype=np.object_)
    array[:] = values
    return array.reshape(shape)


def from_binary(name: str, datatype: str, shape: tuple[int, ...], data: memoryview) -> np.ndarray:
    """
    Read a tensor of the binary extension.

    Raises:
        Refused: The bytes do not make up a tensor of this type and shape.
    """
    wanted = math.prod(shape)
    dtype = DTYPES[datatype]
    if dtype.kind == "O":
        return text_array(name, texts(name, data, wanted), shape)
    if len(data) != wanted * dtype.itemsize:
        raise Refused(
            f"input `{name}` has {len(data)} bytes, "
            f"shape {list(shape)} of `{datatype}` takes {wanted * dtype.itemsize}"
        )
    if dtype.kind == "b":
        return (np.frombuffer(data, dtype=np.uint8) != 0).reshape(shape)
    return np.frombuffer(data, dtype=dtype.newbyteorder("<")).reshape(shape)


def texts(name: str, data: memoryview, wanted: int) -> list[str]:
    """
    Read length-prefixed strings.

    Raises:
        Refused: A length goes past the end, the count is wrong, or a string is not UTF-8.
    """
    found: list[str] = []
    at = 0
    while at < len(data) and len(found) <= wanted:
        if at + LENGTH.size > len(data):
            raise Refused(f"input `{name}`: the bytes end within a length")
        (size,) = LENGTH.unpack_from(data, at)
        at += LENGTH.size
        if at + size > len(data):
            raise Refused(f"input `{name}`: value {len(found)} goes past the end of the bytes")
        try:
            found.append(str(data[at : at + size], "utf-8"))
        except UnicodeDecodeError as error:
            raise Refused(f"input `{name}`: value {len(found)} is not UTF-8") from error
        at += size
    if len(found) != wanted:
        raise Refused(f"input `{name}` has not the {wanted} values that its shape asks for")
    return found


def to_json(array: np.ndarray) -> list[Any]:
    """
    Write a tensor's values, flat.

    Raises:
        Refused: A number is not finite, which JSON cannot say.
    """
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise Refused("the model's answer holds numbers that are not finite", status=500)
    if array.dtype.kind == "O":
        return [str(value) for value in array.ravel()]
    return array.ravel().tolist()


def to_binary(array: np.ndarray) -> bytes:
    """Write a tensor in the binary extension's form."""
    if array.dtype.kind == "O":
        parts = [str(value).encode() for value in array.ravel()]
        return b"".join(LENGTH.pack(len(part)) + part for part in parts)
    return array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
