"""
Inference requests and answers of the KServe protocol: JSON, with or without binary tensors.

Reading needs no model; whether the tensors fit one is `model.py`'s to say.
"""

import json
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np

from towpath_runtimes.kserve import tensors
from towpath_runtimes.kserve.errors import Refused

HEADER_LENGTH = "inference-header-content-length"
ID_MAXIMUM = 256
TENSORS_MAXIMUM = 1024


@dataclass(frozen=True)
class InferRequest:
    """What a caller asked for. `outputs` says which, and whether as bytes; `None`: all."""

    inputs: dict[str, np.ndarray]
    datatypes: dict[str, str]
    parameters: dict[str, Any]
    outputs: dict[str, bool] | None
    binary: bool
    id: str | None


@dataclass
class Answer:
    """What the model said: its outputs by name, and what it says about the request."""

    outputs: dict[str, tuple[str, np.ndarray]]
    parameters: dict[str, Any] = field(default_factory=dict)


def read(body: bytes, header_length: str | None) -> InferRequest:
    """
    Read an inference request.

    Raises:
        Refused: It is not JSON, not an inference request, or a tensor is not what it says.
    """
    size = len(body) if header_length is None else _length(header_length, len(body))
    document = parse(body[:size])
    if not isinstance(document, dict):
        raise Refused(f"the body must be an object, not {tensors.kind(document)}")
    declared = _list(document, "inputs")
    if not declared:
        raise Refused("`inputs` is empty")
    rest = memoryview(body)[size:]
    inputs: dict[str, np.ndarray] = {}
    datatypes: dict[str, str] = {}
    for entry in declared:
        name, datatype, shape = _declaration(entry)
        if name in inputs:
            raise Refused(f"input `{name}` is given twice")
        width = _parameters(entry, f"input `{name}`").get("binary_data_size")
        if width is None:
            if "data" not in entry:
                raise Refused(f"input `{name}` has no `data`")
            inputs[name] = tensors.from_json(name, datatype, shape, entry["data"])
        else:
            if type(width) is not int or not 0 <= width <= len(rest):
                raise Refused(
                    f"input `{name}`: `binary_data_size` is not the size of bytes in the body"
                )
            inputs[name] = tensors.from_binary(name, datatype, shape, rest[:width])
            rest = rest[width:]
        datatypes[name] = datatype
    if rest:
        raise Refused(f"{len(rest)} bytes follow the last tensor")
    parameters = _parameters(document, "the request")
    return InferRequest(
        inputs=inputs,
        datatypes=datatypes,
        parameters={k: v for k, v in parameters.items() if k != "binary_data_output"},
        outputs=_outputs(document),
        binary=parameters.get("binary_data_output") is True,
        id=_id(document),
    )


def write(
    answer: Answer, request: InferRequest, *, model: str, version: str
) -> tuple[bytes, int | None]:
    """
    Write the answer; the number is the length of the JSON part where bytes follow it.

    Raises:
        Refused: An output that was asked for does not exist, or holds numbers that JSON cannot say.
    """
    wanted = request.outputs or dict.fromkeys(answer.outputs, request.binary)
    described = []
    blobs: list[bytes] = []
    for name, as_bytes in wanted.items():
        if name not in answer.outputs:
            known = ", ".join(f"`{known}`" for known in answer.outputs)
            raise Refused(f"`{model}` has no output `{name}`, it has {known}")
        datatype, array = answer.outputs[name]
        entry: dict[str, Any] = {"name": name, "datatype": datatype, "shape": list(array.shape)}
        if as_bytes or request.binary:
            blobs.append(tensors.to_binary(array))
            entry["parameters"] = {"binary_data_size": len(blobs[-1])}
        else:
            entry["data"] = tensors.to_json(array)
        described.append(entry)
    document: dict[str, Any] = {"model_name": model, "model_version": version}
    if request.id is not None:
        document["id"] = request.id
    if answer.parameters:
        document["parameters"] = answer.parameters
    document["outputs"] = described
    head = json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
    return b"".join([head, *blobs]), len(head) if blobs else None


def parse(body: bytes) -> object:
    """
    Read JSON strictly: UTF-8, no NaN, bounded nesting.

    Raises:
        Refused: It is not that.
    """
    try:
        return json.loads(body.decode(), parse_constant=_no_constant)
    except UnicodeDecodeError as error:
        raise Refused(f"the body is not UTF-8, at byte {error.start}") from error
    except json.JSONDecodeError as error:
        raise Refused(
            f"the body is not JSON: {error.msg.lower()}, "
            f"at line {error.lineno}, column {error.colno}"
        ) from error
    except RecursionError as error:
        raise Refused("the body nests too deep") from error
    except ValueError as error:  # a number of thousands of digits
        raise Refused(f"the body is not JSON: {error}") from error


def _no_constant(name: str) -> NoReturn:
    raise Refused(f"the body is not JSON: {name} is no number of it")


def _length(text: str, limit: int) -> int:
    if not text.isdecimal() or len(text) > 12 or int(text) > limit:
        raise Refused("`Inference-Header-Content-Length` is not a length within the body")
    return int(text)


def _list(document: dict[str, Any], key: str) -> list[Any]:
    value = document.get(key, [])
    if not isinstance(value, list):
        raise Refused(f"`{key}` must be an array, not {tensors.kind(value)}")
    if len(value) > TENSORS_MAXIMUM:
        raise Refused(f"`{key}` has {len(value)} entries, at most {TENSORS_MAXIMUM} are taken")
    return value


def _parameters(document: dict[str, Any], where: str) -> dict[str, Any]:
    value = document.get("parameters", {})
    if not isinstance(value, dict):
        raise Refused(f"{where}: `parameters` must be an object, not {tensors.kind(value)}")
    return value


def _declaration(entry: object) -> tuple[str, str, tuple[int, ...]]:
    if not isinstance(entry, dict):
        raise Refused(f"`inputs` holds {tensors.kind(entry)}; each entry is an object")
    name, datatype, shape = entry.get("name"), entry.get("datatype"), entry.get("shape")
    if not isinstance(name, str) or not name:
        raise Refused("an entry of `inputs` has no `name`")
    if datatype not in tensors.DTYPES:
        raise Refused(f"input `{name}`: `datatype` must be one of {', '.join(tensors.DTYPES)}")
    sizes = shape if isinstance(shape, list) else []
    whole = all(type(size) is int and 0 <= size < 2**31 for size in sizes)
    if not isinstance(shape, list) or not whole or len(sizes) > tensors.DIMENSIONS_MAXIMUM:
        raise Refused(
            f"input `{name}`: `shape` must be an array of "
            f"at most {tensors.DIMENSIONS_MAXIMUM} sizes, none negative"
        )
    return name, datatype, tuple(sizes)


def _outputs(document: dict[str, Any]) -> dict[str, bool] | None:
    if "outputs" not in document:
        return None
    wanted: dict[str, bool] = {}
    for entry in _list(document, "outputs"):
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            raise Refused("an entry of `outputs` has no `name`")
        wanted[entry["name"]] = (
            _parameters(entry, f"output `{entry['name']}`").get("binary_data") is True
        )
    return wanted or None


def _id(document: dict[str, Any]) -> str | None:
    value = document.get("id")
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > ID_MAXIMUM:
        raise Refused(f"`id` must be a string of at most {ID_MAXIMUM} characters")
    return value
