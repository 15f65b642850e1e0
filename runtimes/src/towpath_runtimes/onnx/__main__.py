"""Serve an ONNX model: `python -m towpath_runtimes.onnx`."""

import argparse
import signal
import sys
from pathlib import Path

import uvicorn

from towpath_runtimes.listening import Address, StartRefused, positive, replica_secret, report
from towpath_runtimes.onnx import app, model

DRAIN_S = 25  # less than the 30 s after which supervisors commonly kill
KEEP_ALIVE_S = (
    75  # longer than the gateway keeps idle connections, so that it is the one to close them
)


def main(argv: list[str] | None = None) -> int:
    """Load the model, serve until SIGTERM, let open requests finish; returns the exit code."""
    arguments = parse(argv)
    try:
        address = Address.parse(arguments.listen)
        secret = replica_secret()
        limits = model.Limits(batch=arguments.max_batch, tokens=arguments.max_tokens)
        served = app.Served(
            model=model.load(arguments.model, limits=limits),
            name=arguments.name,
            version=arguments.model_version,
            threads=arguments.threads,
            waiting=arguments.max_waiting,
        )
        serve(served, secret, address)
    except StartRefused as refusal:
        return report(refusal)
    return 0


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="towpath_runtimes.onnx", description=__doc__)
    parser.add_argument(
        "--model", type=Path, required=True, help="a folder with one ONNX model, or its file"
    )
    parser.add_argument("--name", required=True, help="the model's name in paths and answers")
    parser.add_argument("--listen", required=True, help="unix:/path.sock or 127.0.0.1:PORT")
    parser.add_argument("--model-version", default="1", help="the version in paths and answers")
    parser.add_argument(
        "--threads",
        type=positive,
        default=1,
        help="requests computed at the same time, a core each",
    )
    parser.add_argument("--max-batch", type=positive, default=1024, help="rows of one request")
    parser.add_argument("--max-tokens", type=positive, default=512, help="tokens of one text")
    parser.add_argument(
        "--max-waiting", type=positive, default=128, help="requests that wait for the model"
    )
    return parser.parse_args(argv)


def serve(served: app.Served, secret: str, address: Address) -> None:
    """
    Listen and answer until a signal says stop.

    Raises:
        StartRefused: The address is taken or may not be used.
    """
    listener = address.bind()
    host, port = (None, None) if address.path else listener.getsockname()[:2]
    config = uvicorn.Config(
        app.build(served, secret),
        http="httptools",
        loop="asyncio",
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=DRAIN_S,
    )
    # uvicorn raises the signal that stopped it once more when it is done; a quiet handler makes
    # that the end.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    sys.stderr.write(f"listening on {address if address.path else f'{host}:{port}'}\n")
    sys.stderr.flush()
    uvicorn.Server(config).run(sockets=[listener])
    address.remove()


if __name__ == "__main__":
    sys.exit(main())
