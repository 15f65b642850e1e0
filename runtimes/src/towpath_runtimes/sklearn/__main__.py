"""Serve a scikit-learn model: `python -m towpath_runtimes.sklearn`."""

import argparse
import sys

from towpath_runtimes.kserve import app, serving
from towpath_runtimes.kserve.engine import ModelEngine
from towpath_runtimes.listening import Address, StartRefused, positive, replica_secret, report
from towpath_runtimes.sklearn import folder


def main(argv: list[str] | None = None) -> int:
    """Load the model, serve until SIGTERM, let open requests finish; returns the exit code."""
    arguments = parse(argv)
    try:
        address = Address.parse(arguments.listen)
        secret = replica_secret()
        loaded = folder.load(
            arguments.model, rows=arguments.max_batch, together=arguments.batch_rows
        )
        engine = ModelEngine(
            loaded,
            name=arguments.name,
            version=arguments.model_version,
            rows=arguments.batch_rows,
        )
        served = app.Served.of(arguments, loaded, [engine] * arguments.threads, server="sklearn")
        serving.serve(served, secret, address)
    except StartRefused as refusal:
        return report(refusal)
    return 0


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = serving.parser(
        "towpath_runtimes.sklearn", __doc__, model="a folder with one skops or ONNX file, or it"
    )
    parser.add_argument(
        "--threads", type=positive, default=1, help="requests computed at the same time"
    )
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
