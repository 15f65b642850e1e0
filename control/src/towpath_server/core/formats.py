"""The formats of models, in the one place that lists them."""

from collections.abc import Iterable, Mapping

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


def refusal(name: str, served: Iterable[str]) -> tuple[str, str] | None:
    """Say what is wrong with the name of a format, and what to write; none when it is known."""
    known = [*FORMATS, *sorted(set(served) - set(FORMATS))]
    if name in known:
        return None
    hint = suggest.did_you_mean(name, known)
    listed = ", ".join(f"`{one}`" for one in known)
    return f"`{name}` is not a format.", hint or f"Use one of {listed}."
