"""Serve an ONNX model: `python -m towpath_runtimes.onnx`."""

import argparse
import sys

from towpath_runtimes.kserve import app, serving
from towpath_runtimes.kserve.engine import ModelEngine
from towpath_runtimes.listening import Address, StartRefused, positive, replica_secret, report
from towpath_runtimes.onnx import model


def main(argv: list[str] | None = None) -> int:
    """Load the model, serve until SIGTERM, let open requests finish; returns the exit code."""
    arguments = parse(argv)
    try:
        address = Address.parse(arguments.listen)
        secret = replica_secret()
        limits = model.Limits(
            batch=arguments.max_batch, tokens=arguments.max_tokens, joined=arguments.batch_rows
        )
        loaded = model.load(arguments.model, limits=limits)
        engine = ModelEngine(
            loaded,
            name=arguments.name,
            version=arguments.model_version,
            rows=arguments.batch_rows,
        )
        served = app.Served.of(arguments, loaded, [engine] * arguments.threads, server="onnx")
        serving.serve(served, secret, address)
    except StartRefused as refusal:
        return report(refusal)
    return 0


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = serving.parser(
        "towpath_runtimes.onnx", __doc__, model="a folder with one ONNX model, or its file"
    )
    parser.add_argument(
        "--threads",
        type=positive,
        default=1,
        help="requests computed at the same time, a core each",
    )
    parser.add_argument("--max-tokens", type=positive, default=512, help="tokens of one text")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
