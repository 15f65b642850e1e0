"""Serve a scikit-learn model: `python -m towpath_runtimes.sklearn`."""

import sys

from towpath_runtimes.kserve import serving
from towpath_runtimes.sklearn import folder


def main(argv: list[str] | None = None) -> int:
    """Load the model, serve until SIGTERM, let open requests finish; returns the exit code."""
    told = "a folder with one skops or ONNX file, or it"
    return serving.run_folder(argv, folder.load, server="sklearn", about=__doc__, model=told)


if __name__ == "__main__":
    sys.exit(main())
