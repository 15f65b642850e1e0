"""The formats of models, in the one place that lists them."""

from collections.abc import Collection, Iterable, Mapping
from fnmatch import fnmatchcase

from towpath_server.core import suggest

FORMATS: Mapping[str, str] = {
    "gguf": "one GGUF file, or its parts",
    "onnx": "an ONNX file, with its external data where it has some",
    "safetensors": "a folder of safetensors with its configuration, as Hugging Face has them",
    "sklearn": "a scikit-learn model as skops, or exported to ONNX",
    "triton": "a model repository of Triton",
    "mlflow": "a model folder of MLflow, with its `MLmodel` file",
    "python": "a Python package that serves the model",
}
"""Name and what it is. A runtime description of the organisation's own may add its own."""

_BY_NAMES = (
    ("MLmodel", "mlflow"),
    ("*/config.pbtxt", "triton"),
    ("*.safetensors", "safetensors"),
    ("*.gguf", "gguf"),
    ("*.onnx", "onnx"),
    ("*.skops", "sklearn"),
    ("pyproject.toml", "python"),
)
"""Of files in a model's folder, in order: the first that is there decides."""


def guess(paths: Collection[str]) -> str | None:
    """Return the format that the names of a model's files tell."""
    return next(
        (name for pattern, name in _BY_NAMES if any(fnmatchcase(path, pattern) for path in paths)),
        None,
    )


def refusal(name: str, served: Iterable[str]) -> tuple[str, str] | None:
    """Say what is wrong with the name of a format, and what to write; none when it is known."""
    known = [*FORMATS, *sorted(set(served) - set(FORMATS))]
    if name in known:
        return None
    hint = suggest.did_you_mean(name, known)
    listed = ", ".join(f"`{one}`" for one in known)
    return f"`{name}` is not a format.", hint or f"Use one of {listed}."
