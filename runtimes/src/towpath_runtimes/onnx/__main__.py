"""Serve an ONNX model: `python -m towpath_runtimes.onnx`."""

import argparse
import sys

from towpath_runtimes.kserve import serving
from towpath_runtimes.listening import positive
from towpath_runtimes.onnx import model


def main(argv: list[str] | None = None) -> int:
    """Load the model, serve until SIGTERM, let open requests finish; returns the exit code."""
    return serving.run(parse(argv), _load, server="onnx")


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = serving.parser(
        "towpath_runtimes.onnx", __doc__, model="a folder with one ONNX model, or its file"
    )
    serving.threads(parser)
    parser.add_argument("--max-tokens", type=positive, default=512, help="tokens of one text")
    return parser.parse_args(argv)


def _load(told: argparse.Namespace) -> model.Model:
    limits = model.Limits(batch=told.max_batch, tokens=told.max_tokens, joined=told.batch_rows)
    return model.load(told.model, limits=limits)


if __name__ == "__main__":
    sys.exit(main())
