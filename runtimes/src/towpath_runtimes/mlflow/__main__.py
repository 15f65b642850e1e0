"""Serve a model folder of MLflow: `python -m towpath_runtimes.mlflow`."""

import argparse
import sys

from towpath_runtimes.kserve import serving
from towpath_runtimes.kserve.model import Model
from towpath_runtimes.mlflow import folder


def main(argv: list[str] | None = None) -> int:
    """Load the model, serve until SIGTERM, let open requests finish; returns the exit code."""
    return serving.run(parse(argv), _load, server="mlflow")


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = serving.parser(
        "towpath_runtimes.mlflow", __doc__, model="a folder with an `MLmodel` file"
    )
    serving.threads(parser)
    return parser.parse_args(argv)


def _load(told: argparse.Namespace) -> Model:
    return folder.load(told.model, rows=told.max_batch, together=told.batch_rows)


if __name__ == "__main__":
    sys.exit(main())
