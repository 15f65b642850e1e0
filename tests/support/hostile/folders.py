"""Triton repositories, MLflow folders, programs beside models, and things that are not models."""

import gzip
from collections.abc import Mapping

from artifacts import ONNX_FLAVOUR, TRITON_CONFIG, gguf, mlflow, onnx, safetensors, triton

from hostile import CONTAINED, hostile
from hostile.pickled import calling, plain

ELF = b"\x7fELF\x02\x01\x01" + bytes(120)


@hostile(
    "triton-python",
    "a Triton model in Python",
    form="triton",
    reason="PythonCode",
    outcome=CONTAINED,
)
def _() -> Mapping[str, bytes]:
    config = TRITON_CONFIG.replace('platform: "onnxruntime_onnx"', 'backend: "python"')
    return {"m/config.pbtxt": config.encode(), "m/1/model.py": b"class TritonPythonModel: ...\n"}


@hostile(
    "triton-library",
    "a Triton model with a back end of its own",
    form="triton",
    reason="NativeCode",
    outcome=CONTAINED,
)
def _() -> Mapping[str, bytes]:
    return {**triton(), "tiny/1/libtriton_evil.so": ELF}


@hostile(
    "triton-library-renamed",
    "the same under the name of a text file",
    form="triton",
    reason="NativeCode",
    outcome=CONTAINED,
)
def _() -> Mapping[str, bytes]:
    return {**triton(), "tiny/1/labels.txt": ELF}


@hostile(
    "triton-model-elsewhere",
    "a Triton model whose file is in a folder above",
    form="triton",
    reason="EscapingPath",
)
def _() -> Mapping[str, bytes]:
    return triton(TRITON_CONFIG + 'default_model_filename: "../../other/1/model.onnx"\n')


@hostile(
    "triton-environment",
    "a Triton model with a Python of its own from elsewhere",
    form="triton",
    reason="EscapingPath",
)
def _() -> Mapping[str, bytes]:
    more = 'parameters { key: "EXECUTION_ENV_PATH" value { string_value: "/tmp/evil.tar.gz" } }'
    return triton(TRITON_CONFIG + more)


@hostile("triton-broken", "a configuration that ends early", form="triton", reason="Truncated")
def _() -> Mapping[str, bytes]:
    return triton("input [ { name: ")


@hostile("triton-deep", "a configuration nested 5,000 deep", form="triton", reason="TooLarge")
def _() -> Mapping[str, bytes]:
    return triton("a {" * 5_000 + "}" * 5_000)


@hostile(
    "mlflow-python-model",
    "an MLflow model that is a pickled Python object",
    form="mlflow",
    reason="ModelLoader",
    outcome=CONTAINED,
)
def _() -> Mapping[str, bytes]:
    flavour = (
        "  python_function:\n    loader_module: mlflow.pyfunc.model\n    python_model: model.pkl\n"
    )
    return mlflow(flavour, {"model.pkl": plain()})


@hostile(
    "mlflow-pickle-calls",
    "an MLflow model whose pickle calls `os.system`",
    form="mlflow",
    reason="DangerousPickle",
)
def _() -> Mapping[str, bytes]:
    flavour = "  sklearn:\n    pickled_model: model.pkl\n  python_function:\n    loader_module: mlflow.sklearn\n"
    return mlflow(flavour, {"model.pkl": calling("os", "system")})


@hostile(
    "mlflow-loader",
    "an MLflow model that is loaded by a module of its own",
    form="mlflow",
    reason="ModelLoader",
    outcome=CONTAINED,
)
def _() -> Mapping[str, bytes]:
    flavour = "  python_function:\n    loader_module: evil.loader\n    code: code\n"
    return mlflow(flavour, {"code/loader.py": b"x = 1\n"})


@hostile(
    "mlflow-elsewhere",
    "an MLflow model whose data are outside its folder",
    form="mlflow",
    reason="EscapingPath",
)
def _() -> Mapping[str, bytes]:
    flavour = ONNX_FLAVOUR.replace("data: model.onnx", "data: ../../other/model.onnx")
    return mlflow(flavour, {"model.onnx": onnx()})


@hostile(
    "mlflow-yaml-object",
    "an `MLmodel` that makes a Python object",
    form="mlflow",
    reason="ObjectTag",
    outcome=CONTAINED,
)
def _() -> Mapping[str, bytes]:
    return {"MLmodel": b"flavors: !!python/object/apply:os.system ['id']\n"}


@hostile("program", "a program beside an ONNX model", form="onnx", reason="NativeCode")
def _() -> Mapping[str, bytes]:
    return {"model.onnx": onnx(), "plugin.so": ELF}


@hostile("program-windows", "a library for Windows", form="onnx", reason="NativeCode")
def _() -> Mapping[str, bytes]:
    head = b"MZ" + bytes(58) + (64).to_bytes(4, "little") + b"PE\0\0" + bytes(64)
    return {"model.onnx": onnx(), "plugin.dll": head}


@hostile("bytecode", "compiled Python code", form="onnx", reason="PythonCode")
def _() -> Mapping[str, bytes]:
    return {"model.onnx": onnx(), "plugin.bin": b"\xa7\x0d\r\n" + bytes(12) + b"\xe3" + bytes(64)}


@hostile("script", "a script of the shell", form="gguf", reason="Script")
def _() -> Mapping[str, bytes]:
    return {"model.gguf": gguf(), "install": b"#!/bin/sh\nid\n"}


@hostile("r-object", "a serialised R object", form="onnx", reason="ObjectTag")
def _() -> Mapping[str, bytes]:
    return {
        "model.onnx": onnx(),
        "model.rds": gzip.compress(b"X\n\x00\x00\x00\x03\x00\x04\x03\x01"),
    }


@hostile(
    "other-format", "a safetensors file declared as GGUF", form="gguf", reason="FormatMismatch"
)
def _() -> Mapping[str, bytes]:
    return {"model.safetensors": safetensors()}


@hostile("empty", "an empty file as a model", form="onnx", reason="FormatMismatch")
def _() -> Mapping[str, bytes]:
    return {"model.onnx": b""}
