"""
The process that has a model: `python -m towpath_runtimes.python.child`, started by the server.

It says what it is once it has loaded, then answers jobs until the server closes the connection.
Whatever the model writes to standard output goes to the log.
"""

import argparse
import os
import signal
import socket
import sys
from pathlib import Path

from towpath_runtimes.kserve.engine import ModelEngine
from towpath_runtimes.listening import StartRefused
from towpath_runtimes.python import frames, model


def main(argv: list[str] | None = None) -> int:
    """Load, say so, answer; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fd", type=int, required=True, help="the connection to the server")
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--model-version", required=True)
    parser.add_argument("--max-batch", type=int, required=True)
    parser.add_argument("--batch-rows", type=int, required=True)
    told = parser.parse_args(argv)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the server says when it is over
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    with socket.socket(fileno=told.fd) as link, link.makefile("rwb") as wire:
        try:
            serve(wire, told)
        except frames.Ended:
            return 0
    return 0


def serve(wire: frames.Wire, told: argparse.Namespace) -> None:
    """Answer until the server is gone."""
    try:
        loaded = model.load(told.model, rows=told.max_batch, together=told.batch_rows)
    except StartRefused as refusal:
        frames.send_word(wire, {"refused": str(refusal), "fix": refusal.fix})
        return
    specs = {
        part: [[one.name, one.datatype, list(one.shape)] for one in found]
        for part, found in (("inputs", loaded.inputs), ("outputs", loaded.outputs))
    }
    frames.send_word(wire, specs)
    engine = ModelEngine(loaded, name=told.name, version=told.model_version, rows=told.batch_rows)
    while True:
        frames.send_done(wire, engine.run(frames.read_jobs(wire)))


if __name__ == "__main__":
    sys.exit(main())
