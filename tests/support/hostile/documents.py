"""Configurations that name code, and documents that multiply."""

import json
from collections.abc import Mapping

from artifacts import SKOPS_SCHEMA, folder, npy, onnx, skops, zipped

from hostile import CONTAINED, hostile
from hostile.pickled import calling, plain


@hostile(
    "auto-map",
    "a configuration that names Python classes of its own",
    form="safetensors",
    reason="RemoteCode",
)
def _() -> Mapping[str, bytes]:
    return folder(config={"auto_map": {"AutoModelForCausalLM": "modeling_evil.EvilModel"}})


@hostile(
    "auto-map-elsewhere",
    "the same in another repository",
    form="safetensors",
    reason="RemoteCode",
)
def _() -> Mapping[str, bytes]:
    return folder(config={"auto_map": {"AutoModel": "evil/repo--modeling.Evil"}})


@hostile(
    "auto-map-tokenizer",
    "the same for the tokenizer",
    form="safetensors",
    reason="RemoteCode",
)
def _() -> Mapping[str, bytes]:
    return folder(tokenizer_config={"auto_map": {"AutoTokenizer": ["tok.Evil", None]}})


@hostile(
    "trust-remote-code",
    "a configuration that trusts whatever it is given",
    form="safetensors",
    reason="RemoteCode",
)
def _() -> Mapping[str, bytes]:
    return folder(config={"trust_remote_code": True})


@hostile(
    "modeling-file",
    "a folder of weights with a Python file",
    form="safetensors",
    reason="PythonCode",
)
def _() -> Mapping[str, bytes]:
    return folder(more={"modeling_evil.py": b"import os\nos.system('id')\n"})


@hostile(
    "sentence-transformers-module",
    "a module of Sentence Transformers that is none of theirs",
    form="safetensors",
    reason="RemoteCode",
)
def _() -> Mapping[str, bytes]:
    modules = [{"idx": 0, "name": "0", "path": "", "type": "evil.Module"}]
    return folder(more={"modules.json": json.dumps(modules).encode()})


@hostile(
    "diffusers-part",
    "a part of a diffusers pipeline from a module of its own",
    form="safetensors",
    reason="RemoteCode",
)
def _() -> Mapping[str, bytes]:
    index = {"_class_name": "Pipeline", "_diffusers_version": "0.30", "unet": ["evil", "UNet"]}
    return folder(more={"model_index.json": json.dumps(index).encode()})


@hostile("json-deep", "a JSON document nested 200,000 deep", form="safetensors", reason="TooLarge")
def _() -> Mapping[str, bytes]:
    return folder(more={"tokenizer.json": b"[" * 200_000 + b"]" * 200_000})


@hostile(
    "yaml-object",
    "a YAML document that makes a Python object",
    form="safetensors",
    reason="ObjectTag",
)
def _() -> Mapping[str, bytes]:
    return folder(more={"extra.yaml": b"a: !!python/object/apply:os.system ['id']\n"})


@hostile(
    "yaml-bomb", "a YAML document that doubles itself", form="safetensors", reason="EntityBomb"
)
def _() -> Mapping[str, bytes]:
    lines = ["a0: &a0 [x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 40)]
    return folder(more={"extra.yaml": "\n".join(lines).encode()})


@hostile(
    "xml-entities",
    "an XML document that includes a file by an entity",
    form="safetensors",
    reason="EntityBomb",
)
def _() -> Mapping[str, bytes]:
    text = b'<?xml version="1.0"?><!DOCTYPE m [<!ENTITY x SYSTEM "file:///etc/passwd">]><m>&x;</m>'
    return folder(more={"model.xml": text})


def _keras(config: dict, **more: bytes) -> bytes:
    files = {"metadata.json": b"{}", "config.json": json.dumps(config).encode()}
    return zipped({**files, "model.weights.h5": b"\x89HDF\r\n\x1a\n" + bytes(64), **more})


def _layers(*layers: dict) -> dict:
    return {"module": "keras", "class_name": "Sequential", "config": {"layers": list(layers)}}


@hostile(
    "keras-lambda",
    "a Keras model with a Lambda layer",
    form="keras",
    reason="LambdaLayer",
    outcome=CONTAINED,
)
def _() -> Mapping[str, bytes]:
    layer = {"module": "keras.layers", "class_name": "Lambda", "config": {"function": "code"}}
    return {"model.keras": _keras(_layers(layer))}


@hostile(
    "keras-foreign-class",
    "a Keras model that names `os.system` as a class",
    form="keras",
    reason="LambdaLayer",
    outcome=CONTAINED,
)
def _() -> Mapping[str, bytes]:
    layer = {"module": "os", "class_name": "system", "config": {"command": "id"}}
    return {"model.keras": _keras(_layers(layer))}


@hostile(
    "keras-lambda-beside-onnx",
    "the same beside an ONNX model",
    form="onnx",
    reason="LambdaLayer",
)
def _() -> Mapping[str, bytes]:
    layer = {"module": "keras.layers", "class_name": "Lambda", "config": {}}
    return {"model.onnx": onnx(), "source.keras": _keras(_layers(layer))}


@hostile(
    "keras-hdf5-lambda",
    "a Lambda layer in the older HDF5 file",
    form="keras",
    reason="LambdaLayer",
    outcome=CONTAINED,
)
def _() -> Mapping[str, bytes]:
    text = b'{"class_name": "Sequential", "config": {"layers": [{"class_name": "Lambda"}]}}'
    return {"model.h5": b"\x89HDF\r\n\x1a\n" + bytes(5000) + text + bytes(100)}


@hostile(
    "tensorflow-reads-files",
    "a TensorFlow graph that reads files",
    form="python",
    reason="GraphReachesOut",
    outcome=CONTAINED,
)
def _() -> Mapping[str, bytes]:
    return {"saved_model.pb": b"\x08\x01\x12\x00\x12\x08ReadFile\x00\x00", "serve.py": b"x = 1\n"}


def _skops(name: str, what: str, node: dict) -> None:
    @hostile(f"skops-{name}", what, form="sklearn", reason="UntrustedTypes")
    def _() -> Mapping[str, bytes]:
        return {"model.skops": skops({**SKOPS_SCHEMA, "evil": node})}


_skops(
    "foreign-type",
    "a skops file that makes an object of a class of its own",
    {"__class__": "Evil", "__module__": "evil", "__loader__": "ObjectNode"},
)
_skops(
    "system",
    "a skops file that names `os.system`",
    {"__class__": "system", "__module__": "os", "__loader__": "FunctionNode"},
)
_skops(
    "method",
    "a skops file that calls a method when it is loaded",
    {
        "__class__": "LinearRegression",
        "__module__": "sklearn.linear_model",
        "__loader__": "MethodNode",
    },
)
_skops(
    "eval",
    "a skops file that names `eval`",
    {"__class__": "eval", "__module__": "builtins", "__loader__": "FunctionNode"},
)


@hostile(
    "skops-with-pickle",
    "a skops file that keeps an array as a pickle",
    form="sklearn",
    reason="DangerousPickle",
)
def _() -> Mapping[str, bytes]:
    objects = npy("|O", calling("os", "system"), "(1,)")
    schema = json.dumps(SKOPS_SCHEMA).encode()
    return {"model.skops": zipped({"schema.json": schema, "1.npy": objects})}


@hostile(
    "sklearn-as-joblib",
    "a scikit-learn model as joblib writes it",
    form="sklearn",
    reason="Pickle",
)
def _() -> Mapping[str, bytes]:
    return {"model.joblib": plain()}
