"""Serve a scikit-learn model: `python -m towpath_runtimes.sklearn`."""

import argparse
import sys

from towpath_runtimes.kserve import serving
from towpath_runtimes.sklearn import folder


def main(argv: list[str] | None = None) -> int:
    """Load the model, serve until SIGTERM, let open requests finish; returns the exit code."""
    return serving.run_folder(parse(argv), folder.load, server="sklearn")


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    told = "a folder with one skops or ONNX file, or it"
    return serving.parse(argv, "towpath_runtimes.sklearn", __doc__, model=told)


if __name__ == "__main__":
    sys.exit(main())
