"""Serve a model folder of MLflow: `python -m towpath_runtimes.mlflow`."""

import sys

from towpath_runtimes.kserve import serving
from towpath_runtimes.mlflow import folder


def main(argv: list[str] | None = None) -> int:
    """Load the model, serve until SIGTERM, let open requests finish; returns the exit code."""
    told = "a folder with an `MLmodel` file"
    return serving.run_folder(argv, folder.load, server="mlflow", about=__doc__, model=told)


if __name__ == "__main__":
    sys.exit(main())
