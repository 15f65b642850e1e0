"""Look at a file or folder and say what model it is."""

import json
import zipfile
from pathlib import Path
from typing import Any

from towpath.cli.modelfile import gguf, onnx
from towpath.cli.modelfile.found import Found
from towpath.errors import ConfigurationError

_MAX_JSON = 16 << 20
_PICKLES = {".pkl", ".pickle", ".joblib"}
_TORCH = {".pt", ".pth", ".ckpt", ".bin"}


def look(path: Path) -> Found:
    """
    Say what model a file or folder holds.

    Raises:
        ConfigurationError: There is none, or it is of a kind that is not served.
    """
    if not path.exists():
        raise ConfigurationError(
            f"there is no file or folder {path}",
            code="artifact_missing",
            fix="name the model: `towpath init ./model.onnx`",
        )
    try:
        return _folder(path) if path.is_dir() else _file(path)
    except ValueError as error:
        raise ConfigurationError(
            f"{path} cannot be read as a model: {error}",
            code="artifact_invalid",
            fix="export it again, and name the new file",
        ) from error


def _file(path: Path) -> Found:
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(8)
    if head.startswith(gguf.MAGIC):
        facts, context = gguf.words(gguf.metadata(path))
        return Found(path, "gguf", size, facts=facts, context_length=context)
    if path.suffix == ".onnx":
        inputs, outputs = onnx.signature(path)
        return Found(path, "onnx", size, inputs, outputs)
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if "schema.json" in archive.namelist():
                return Found(path, "sklearn", size, facts=("saved with skops",))
    if path.suffix in _PICKLES or head[:2] in {b"\x80\x03", b"\x80\x04", b"\x80\x05"}:
        raise ConfigurationError(
            f"{path} is a pickle: whoever loads it runs what it says",
            code="artifact_refused",
            fix="save the model with skops (`skops.io.dump`), or export it to ONNX (`skl2onnx`)",
        )
    if path.suffix in _TORCH:
        raise ConfigurationError(
            f"{path} holds PyTorch's own format, which is a pickle inside",
            code="artifact_refused",
            fix="save it with safetensors, or export it to ONNX (`torch.onnx.export`)",
        )
    raise ConfigurationError(
        f"{path} is no model that is known here",
        code="artifact_unknown",
        fix="name a GGUF, ONNX or skops file, or the folder of a Hugging Face model",
    )


def _folder(path: Path) -> Found:
    files = [one for one in sorted(path.rglob("*")) if one.is_file() and not _hidden(one, path)]
    size = sum(one.stat().st_size for one in files)
    names = {one.relative_to(path).as_posix() for one in files}
    if "MLmodel" in names:
        return Found(path, "mlflow", size)
    if "config.json" in names and any(name.endswith(".safetensors") for name in names):
        facts, context = _hugging_face(path / "config.json")
        return Found(path, "safetensors", size, facts=facts, context_length=context)
    models = [one for one in files if one.suffix in {".onnx", ".gguf", ".skops"}]
    if len(models) == 1:
        inner = _file(models[0])
        beside = ("tokenizer beside it",) if "tokenizer.json" in names else ()
        facts = (*inner.facts, *beside)
        return Found(
            path, inner.format, size, inner.inputs, inner.outputs, facts, inner.context_length
        )
    if "config.pbtxt" in {one.name for one in files}:
        return Found(path, "triton", size)
    many = ", ".join(one.name for one in models[:5])
    raise ConfigurationError(
        f"{path} holds {len(models)} models ({many})" if models else f"{path} holds no model",
        code="artifact_unknown",
        fix="name the one file that is meant" if models else "name the folder that holds it",
    )


def _hugging_face(config: Path) -> tuple[tuple[str, ...], int | None]:
    if config.stat().st_size > _MAX_JSON:
        raise ValueError("its config.json is too large to be one")
    found: Any = json.loads(config.read_text(encoding="utf-8"))
    if not isinstance(found, dict):
        raise ValueError("its config.json is no object")  # noqa: TRY004 (the file's fault)
    names = found.get("architectures")
    context = found.get("max_position_embeddings")
    length = context if isinstance(context, int) else None
    facts = [str(names[0])] if isinstance(names, list) and names else []
    return (*facts, *([f"context {length:,}"] if length else [])), length


def _hidden(one: Path, root: Path) -> bool:
    return any(part.startswith(".") for part in one.relative_to(root).parts)
