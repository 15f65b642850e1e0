"""Finds a scikit-learn model's file: a skops file, or the ONNX that it was exported to."""

from pathlib import Path

from towpath_runtimes.kserve.model import Model
from towpath_runtimes.listening import StartRefused
from towpath_runtimes.onnx import model as onnx
from towpath_runtimes.sklearn import model

_TOKENS = 512  # bound of models that read tokens; none of scikit-learn's does


def load(path: Path, *, rows: int, together: int) -> Model:
    """
    Load the model of a folder or file.

    Args:
        rows: Most rows of one request.
        together: Rows that several requests are joined to; 1: none is.

    Raises:
        StartRefused: There is not one model, or it cannot be served.
    """
    file = _file(path)
    if file.suffix == ".onnx":
        return onnx.load(file, limits=onnx.Limits(rows, _TOKENS, together))
    return model.load(file, rows=rows, together=together)


def _file(path: Path) -> Path:
    if path.is_file():
        return path
    found = sorted(path.glob("*.skops")) or sorted(path.glob("*.onnx"))
    if len(found) != 1:
        raise StartRefused(
            f"`{path}` holds {len(found)} scikit-learn models"
            if path.is_dir()
            else f"there is no model at `{path}`",
            fix="keep one file saved with `skops.io.dump`, or exported to ONNX",
        )
    return found[0]
