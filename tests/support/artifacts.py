"""Small models, built byte by byte: what tests push, and what hostile ones are made from."""

import io
import json
import struct
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any

Files = dict[str, bytes]
"""A model's files by path."""


# ---- protobuf and ONNX ----


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def field(number: int, value: int | bytes | str) -> bytes:
    """Write a field of a message: a number, or bytes."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


_STRING = 8  # as ONNX numbers its types


def onnx_value(name: str, datatype: int = 1, shape: Sequence[int | str] = ("batch", 4)) -> bytes:
    dims = b"".join(
        field(1, field(1, one) if isinstance(one, int) else field(2, one)) for one in shape
    )
    return field(1, name) + field(2, field(1, field(1, datatype) + field(2, dims)))


def onnx_node(kind: str = "Identity", domain: str = "", extra: bytes = b"") -> bytes:
    names = field(1, "x") + field(2, "y")
    return names + field(4, kind) + extra + (field(7, domain) if domain else b"")


def onnx_tensor(name: str = "w", *, external: Mapping[str, str] | None = None) -> bytes:
    head = field(1, 2) + field(1, 2) + field(2, 1) + field(8, name)
    if external is None:
        return head + field(9, struct.pack("<4f", 1, 2, 3, 4))
    pairs = b"".join(field(13, field(1, key) + field(2, value)) for key, value in external.items())
    return head + pairs + field(14, 1)


def onnx(
    *,
    nodes: Sequence[bytes] = (onnx_node(),),
    tensors: Sequence[bytes] = (),
    inputs: Sequence[bytes] | None = None,
    outputs: Sequence[bytes] | None = None,
    name: str = "tiny",
    more: bytes = b"",
) -> bytes:
    """Write an ONNX model; by default one that returns what it is given."""
    graph = b"".join(field(1, node) for node in nodes) + field(2, name)
    graph += b"".join(field(5, tensor) for tensor in tensors)
    graph += b"".join(field(11, one) for one in inputs or [onnx_value("x")])
    graph += b"".join(field(12, one) for one in outputs or [onnx_value("y")])
    return field(1, 8) + field(2, "towpath-tests") + field(7, graph) + more + field(8, field(2, 17))


def texts_to_labels(name: str) -> bytes:
    """Write an ONNX model whose signature is that of a classifier of texts."""
    text, label = (onnx_value(one, _STRING, ("batch",)) for one in ("text", "label"))
    return onnx(name=name, inputs=[text], outputs=[label])


# ---- GGUF ----


def gguf_text(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def gguf_entry(key: str, value: Any) -> bytes:
    if isinstance(value, str):
        return gguf_text(key) + struct.pack("<I", 8) + gguf_text(value)
    if isinstance(value, list):
        items = b"".join(gguf_text(one) for one in value)
        return gguf_text(key) + struct.pack("<IIQ", 9, 8, len(value)) + items
    return gguf_text(key) + struct.pack("<II", 4, value)


GGUF_METADATA: dict[str, Any] = {
    "general.architecture": "llama",
    "general.name": "tiny",
    "llama.context_length": 2048,
    "llama.block_count": 2,
    "llama.embedding_length": 64,
    "llama.attention.head_count": 4,
    "llama.attention.head_count_kv": 2,
    "tokenizer.ggml.tokens": ["<s>", "</s>", "a"],
}


def gguf_tensor(name: str, shape: Sequence[int], kind: int, offset: int) -> bytes:
    dims = struct.pack("<I", len(shape)) + struct.pack(f"<{len(shape)}Q", *shape)
    return gguf_text(name) + dims + struct.pack("<IQ", kind, offset)


def gguf(
    metadata: Mapping[str, Any] | None = None,
    *,
    tensors: Sequence[tuple[str, Sequence[int], int, int]] = (("w", (64, 2), 0, 0),),
    data: int = 512,
    counts: tuple[int, int] | None = None,
    version: int = 3,
) -> bytes:
    """Write a GGUF file; `counts` lie about the number of tensors and entries."""
    entries = {**GGUF_METADATA, **(metadata or {})}
    said = counts or (len(tensors), len(entries))
    head = b"GGUF" + struct.pack("<IQQ", version, *said)
    head += b"".join(gguf_entry(key, value) for key, value in entries.items())
    head += b"".join(gguf_tensor(*one) for one in tensors)
    return head + bytes(-len(head) % 32) + bytes(data)


# ---- safetensors ----


def safetensors(
    header: Mapping[str, Any] | bytes | None = None, data: int = 16, *, length: int | None = None
) -> bytes:
    """Write a safetensors file; `length` lies about the header's."""
    if header is None:
        header = {"w": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}}
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + bytes(data)


# ---- folders ----

CONFIG: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "max_position_embeddings": 4096,
    "num_hidden_layers": 2,
    "hidden_size": 64,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 3,
}


def folder(**files: Any) -> Files:
    """Write a folder as Hugging Face has them; `config` and `tokenizer_config` are changed."""
    config = {**CONFIG, **files.get("config", {})}
    tokenizer = {"model_max_length": 4096, **files.get("tokenizer_config", {})}
    return {
        "config.json": json.dumps(config).encode(),
        "tokenizer_config.json": json.dumps(tokenizer).encode(),
        "model.safetensors": safetensors(),
        "README.md": b"# Tiny\n",
        **files.get("more", {}),
    }


def zipped(files: Mapping[str, bytes], *, method: int = zipfile.ZIP_STORED) -> bytes:
    """Pack files into a ZIP archive."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


SKOPS_SCHEMA: dict[str, Any] = {
    "__class__": "LogisticRegression",
    "__module__": "sklearn.linear_model._logistic",
    "__loader__": "ObjectNode",
    "content": {
        "__class__": "dict",
        "__module__": "builtins",
        "__loader__": "DictNode",
        "content": {
            "n_features_in_": {
                "__class__": "int",
                "__module__": "builtins",
                "__loader__": "JsonNode",
                "content": "4",
                "is_json": True,
            },
            "coef_": {
                "__class__": "ndarray",
                "__module__": "numpy",
                "__loader__": "NdArrayNode",
                "type": "numpy",
                "file": "1.npy",
            },
        },
    },
    "protocol": 2,
    "_skops_version": "0.13.0",
}


def npy(descr: str = "<f8", data: bytes = bytes(32), shape: str = "(4,)") -> bytes:
    """Write a NumPy array file."""
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    text += b" " * (-(len(text) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


def skops(schema: Mapping[str, Any] = SKOPS_SCHEMA) -> bytes:
    """Write a skops file."""
    return zipped({"schema.json": json.dumps(schema).encode(), "1.npy": npy()})


TRITON_CONFIG = """
name: "tiny"
platform: "onnxruntime_onnx"
max_batch_size: 8
input [ { name: "x" data_type: TYPE_FP32 dims: [ 4 ] } ]
output [ { name: "y" data_type: TYPE_FP32 dims: [ 4 ] } ]
"""


def triton(config: str = TRITON_CONFIG, **more: bytes) -> Files:
    """Write a Triton model repository of one model; dots in names are written as `__`."""
    files = {f"tiny/{name.replace('__', '.')}": content for name, content in more.items()}
    return {"tiny/config.pbtxt": config.encode(), "tiny/1/model.onnx": onnx(), **files}


def mlflow(flavours: str, more: Files | None = None) -> Files:
    """Write an MLflow model folder."""
    document = f"""
flavors:
{flavours}
mlflow_version: 3.1.0
run_id: 0123456789abcdef
signature:
  inputs: '[{{"type": "double", "name": "age"}}, {{"type": "string", "name": "city"}}]'
  outputs: '[{{"type": "tensor", "tensor-spec": {{"dtype": "float32", "shape": [-1, 2]}}}}]'
"""
    return {"MLmodel": document.encode(), "requirements.txt": b"onnxruntime\n", **(more or {})}


ONNX_FLAVOUR = """  onnx:
    data: model.onnx
  python_function:
    loader_module: mlflow.onnx
    data: model.onnx
"""
