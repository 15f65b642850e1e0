"""Serve a model folder of MLflow: `python -m towpath_runtimes.mlflow`."""

import argparse
import sys

from towpath_runtimes.kserve import serving
from towpath_runtimes.mlflow import folder


def main(argv: list[str] | None = None) -> int:
    """Load the model, serve until SIGTERM, let open requests finish; returns the exit code."""
    return serving.run_folder(parse(argv), folder.load, server="mlflow")


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    told = "a folder with an `MLmodel` file"
    return serving.parse(argv, "towpath_runtimes.mlflow", __doc__, model=told)


if __name__ == "__main__":
    sys.exit(main())
