"""What a file or folder looks like, as the registry names formats."""

import re
from pathlib import Path

FORMATS = ("gguf", "onnx", "safetensors", "sklearn", "triton", "mlflow", "python")
_SUFFIXES = {
    ".gguf": "gguf",
    ".onnx": "onnx",
    ".safetensors": "safetensors",
    ".skops": "sklearn",
}
_IN_FOLDERS = (
    ("MLmodel", "mlflow"),
    ("*/config.pbtxt", "triton"),
    ("*.safetensors", "safetensors"),
    ("*.gguf", "gguf"),
    ("*.onnx", "onnx"),
    ("*.skops", "sklearn"),
    ("pyproject.toml", "python"),
)
"""In order: the first that is there decides."""


def guess(source: Path) -> str | None:
    """Return the format of a file or folder, where its names tell."""
    if source.is_file():
        return _SUFFIXES.get(source.suffix.lower())
    return next((name for pattern, name in _IN_FOLDERS if any(source.glob(pattern))), None)


def model_name(source: Path) -> str:
    """Make a name for the registry from that of a file or folder."""
    stem = source.resolve().stem if source.is_file() else source.resolve().name
    return slug(stem)


def slug(text: str) -> str:
    """Make a name for the registry from any text."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:63].strip("-")
