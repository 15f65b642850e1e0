"""Pickles, open and hidden."""

import bz2
import gzip
import lzma
import pickle
import struct
import zlib
from collections import OrderedDict
from collections.abc import Mapping

from artifacts import folder, npy, onnx, safetensors, zipped

from hostile import CONTAINED, hostile


def calling(module: str, name: str, argument: str = "id", *, protocol: int = 2) -> bytes:
    """Write a pickle that calls a function by name, as an attacker's `__reduce__` would."""
    if protocol >= 4:
        texts = b"".join(
            b"\x8c" + bytes([len(one)]) + one.encode() + b"\x94" for one in (module, name)
        )
        argued = b"\x8c" + bytes([len(argument)]) + argument.encode() + b"\x94"
        return b"\x80\x04" + texts + b"\x93\x94" + argued + b"\x85\x94R\x94."
    head = b"\x80\x02" if protocol == 2 else b""
    if protocol == 0:
        return f"c{module}\n{name}\n(S'{argument}'\ntR.".encode()
    text = b"X" + struct.pack("<I", len(argument)) + argument.encode()
    return head + f"c{module}\n{name}\n".encode() + text + b"\x85R."


def plain() -> bytes:
    """Write a pickle as frameworks do: harmless names, and still code."""
    return pickle.dumps(OrderedDict(weights=[1.0, 2.0]), protocol=2)


def torch(payload: bytes, **more: bytes) -> bytes:
    """Write what `torch.save` writes."""
    files = {"archive/data.pkl": payload, "archive/version": b"3\n", "archive/data/0": bytes(64)}
    return zipped({**files, **more})


@hostile(
    "pickle-os-system",
    "a pickle that calls `os.system`",
    form="python",
    reason="DangerousPickle",
)
def _() -> Mapping[str, bytes]:
    return {"model.pkl": calling("os", "system")}


@hostile(
    "pickle-posix-protocol-4",
    "the same by `posix.system`, its names put together on the stack",
    form="python",
    reason="DangerousPickle",
)
def _() -> Mapping[str, bytes]:
    return {"model.pkl": calling("posix", "system", protocol=4)}


@hostile(
    "pickle-text-protocol",
    "the same in the text protocol, which has no header, under the name of a text file",
    form="mlflow",
    reason="DangerousPickle",
)
def _() -> Mapping[str, bytes]:
    return {
        "MLmodel": b"flavors: {onnx: {data: model.onnx}}\n",
        "notes.txt": calling("subprocess", "Popen", protocol=0),
    }


@hostile(
    "pickle-builtins-eval", "a pickle that calls `eval`", form="python", reason="DangerousPickle"
)
def _() -> Mapping[str, bytes]:
    return {"model.joblib": calling("builtins", "eval", "print(1)", protocol=4)}


@hostile(
    "pickle-python-2-exec",
    "a pickle that calls `exec` by its name of Python 2",
    form="python",
    reason="DangerousPickle",
)
def _() -> Mapping[str, bytes]:
    return {"model.pkl": calling("__builtin__", "exec", "pass")}


@hostile(
    "pickle-runpy", "a pickle that runs a file by `runpy`", form="python", reason="DangerousPickle"
)
def _() -> Mapping[str, bytes]:
    return {"model.pkl": calling("runpy", "run_path", "x.py", protocol=4)}


@hostile(
    "pickle-in-pickle",
    "a pickle that loads a second one by `pickle.loads`",
    form="python",
    reason="DangerousPickle",
)
def _() -> Mapping[str, bytes]:
    return {"model.pkl": calling("pickle", "loads", "inner", protocol=4)}


@hostile(
    "pickle-inner-attribute",
    "a pickle that reaches `__globals__` of a harmless function",
    form="python",
    reason="DangerousPickle",
)
def _() -> Mapping[str, bytes]:
    return {"model.pkl": calling("collections", "namedtuple.__globals__", protocol=4)}


@hostile(
    "pickle-juggled-stack",
    "a pickle that moves its stack to hide which name it calls",
    form="python",
    reason="DangerousPickle",
)
def _() -> Mapping[str, bytes]:
    text = calling("os", "system", protocol=4)
    return {"model.pkl": text.replace(b"\x93\x94", b"\x8c\x05decoy0\x93\x94", 1)}


@hostile(
    "pickle-second-in-file",
    "a harmless pickle, and behind it one that is not",
    form="python",
    reason="DangerousPickle",
)
def _() -> Mapping[str, bytes]:
    return {"model.pt": plain() + calling("os", "system")}


@hostile(
    "pickle-cut",
    "a pickle whose end is missing: what it calls has run by then",
    form="python",
    reason="DangerousPickle",
)
def _() -> Mapping[str, bytes]:
    return {"model.pkl": calling("os", "system")[:-1]}


@hostile(
    "pickle-behind-an-array",
    "a joblib file that calls `os.system` behind the raw bytes of an array",
    form="python",
    reason="DangerousPickle",
)
def _() -> Mapping[str, bytes]:
    return {"model.joblib": plain()[:-1] + b"\xff\xfe" * 500 + calling("os", "system")}


@hostile(
    "pickle-as-gguf", "a pickle under the name of a GGUF file", form="gguf", reason="FormatMismatch"
)
def _() -> Mapping[str, bytes]:
    return {"model.gguf": plain()}


@hostile(
    "pickle-as-safetensors",
    "a pickle under the name of a safetensors file",
    form="safetensors",
    reason="FormatMismatch",
)
def _() -> Mapping[str, bytes]:
    return {"config.json": b"{}", "model.safetensors": calling("os", "system")}


@hostile(
    "pickle-beside-weights",
    "an old `pytorch_model.bin` beside safetensors, which some engines prefer",
    form="safetensors",
    reason="Pickle",
)
def _() -> Mapping[str, bytes]:
    return folder(more={"pytorch_model.bin": torch(plain())})


@hostile(
    "pickle-without-suffix",
    "a pickle among the files of an ONNX model, without a suffix",
    form="onnx",
    reason="Pickle",
)
def _() -> Mapping[str, bytes]:
    return {"model.onnx": onnx(), "scaler": plain()}


@hostile(
    "torch-checkpoint",
    "a PyTorch checkpoint whose pickle calls `os.system`",
    form="python",
    reason="DangerousPickle",
)
def _() -> Mapping[str, bytes]:
    return {"model.pt": torch(calling("os", "system"))}


@hostile(
    "torch-checkpoint-renamed-pickle",
    "a PyTorch checkpoint with a second pickle under another name",
    form="python",
    reason="DangerousPickle",
)
def _() -> Mapping[str, bytes]:
    return {"model.bin": torch(plain(), **{"archive/data/1": calling("nt", "system")})}


@hostile(
    "torch-plain",
    "a PyTorch checkpoint as `torch.save` writes it",
    form="mlflow",
    reason="Pickle",
    outcome=CONTAINED,
)
def _() -> Mapping[str, bytes]:
    return {
        "MLmodel": b"flavors: {pytorch: {model_data: data}}\n",
        "data/model.pth": torch(plain()),
    }


@hostile(
    "torchscript",
    "a TorchScript archive",
    form="triton",
    reason="TorchScript",
    outcome=CONTAINED,
)
def _() -> Mapping[str, bytes]:
    program = {"m/code/__torch__.py": b"class M(Module):\n  pass\n", "m/constants.pkl": plain()}
    return {
        "m/config.pbtxt": b'name: "m" platform: "pytorch_libtorch"',
        "m/1/model.pt": zipped({**program, "m/data.pkl": plain()}),
    }


@hostile(
    "numpy-object-array",
    "a NumPy file of objects, which is a pickle",
    form="python",
    reason="DangerousPickle",
)
def _() -> Mapping[str, bytes]:
    return {"means.npy": npy("|O", calling("os", "system"), "(1,)")}


@hostile(
    "numpy-archive-of-objects",
    "the same within an `.npz`",
    form="safetensors",
    reason="DangerousPickle",
)
def _() -> Mapping[str, bytes]:
    objects = npy("|O", calling("os", "system"), "(1,)")
    return {"model.safetensors": safetensors(), "stats.npz": zipped({"a.npy": objects})}


for _name, _pack in (
    ("gzip", gzip.compress),
    ("bzip2", bz2.compress),
    ("xz", lzma.compress),
    ("zlib", zlib.compress),
):

    @hostile(
        f"pickle-in-{_name}",
        f"a joblib file packed by {_name}",
        form="python",
        reason="DangerousPickle",
    )
    def _(pack=_pack) -> Mapping[str, bytes]:
        return {"model.joblib": pack(calling("os", "system"))}
