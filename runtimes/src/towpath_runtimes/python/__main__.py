"""Serve a Python class: `python -m towpath_runtimes.python`."""

import argparse
import sys

from towpath_runtimes.kserve import app, serving
from towpath_runtimes.listening import Address, StartRefused, positive, replica_secret, report
from towpath_runtimes.python.process import ModelProcess


def main(argv: list[str] | None = None) -> int:
    """Load the model in its processes, serve until SIGTERM; returns the exit code."""
    arguments = parse(argv)
    processes = [ModelProcess(arguments) for _ in range(arguments.processes)]
    try:
        address = Address.parse(arguments.listen)
        secret = replica_secret()
        signatures = [one.start() for one in processes]
        served = app.Served.of(arguments, signatures[0], processes, server="python")
        serving.serve(served, secret, address)
    except StartRefused as refusal:
        return report(refusal)
    finally:
        for one in processes:
            one.close()
    return 0


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = serving.parser(
        "towpath_runtimes.python", __doc__, model="a folder with `model.py`, and what it loads"
    )
    parser.add_argument(
        "--processes", type=positive, default=1, help="processes that have the model, each its own"
    )
    parser.add_argument(
        "--timeout", type=positive, default=60, help="seconds that one call may compute"
    )
    parser.add_argument(
        "--load-timeout", type=positive, default=600, help="seconds that loading may take"
    )
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
