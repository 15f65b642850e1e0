"""The command line that all servers of the protocol share, and serving until a signal says stop."""

import argparse
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import uvicorn

from towpath_runtimes.kserve import app
from towpath_runtimes.kserve.engine import ModelEngine
from towpath_runtimes.kserve.model import Model
from towpath_runtimes.listening import Address, StartRefused, positive, replica_secret, report

DRAIN_S = 25  # less than the 30 s after which supervisors commonly kill
KEEP_ALIVE_S = (
    75  # longer than the gateway keeps idle connections, so that it is the one to close them
)


def parser(program: str, about: str | None, *, model: str) -> argparse.ArgumentParser:
    """Return a reader of the arguments that every server has."""
    reader = argparse.ArgumentParser(prog=program, description=about)
    reader.add_argument("--model", type=Path, required=True, help=model)
    reader.add_argument("--name", required=True, help="the model's name in paths and answers")
    reader.add_argument("--listen", required=True, help="unix:/path.sock or 127.0.0.1:PORT")
    reader.add_argument("--model-version", default="1", help="the version in paths and answers")
    reader.add_argument("--max-batch", type=positive, default=1024, help="rows of one request")
    reader.add_argument(
        "--max-waiting", type=positive, default=128, help="requests that wait for the model"
    )
    reader.add_argument(
        "--batch-rows",
        type=positive,
        default=1,
        help="rows that waiting requests are joined to, where no row depends on another",
    )
    reader.add_argument(
        "--batch-delay-ms",
        type=milliseconds,
        default=0,
        help="how long a request waits at most for others to be joined with",
    )
    return reader


def threads(reader: argparse.ArgumentParser) -> None:
    """Add the argument of servers that compute in threads of their own."""
    reader.add_argument(
        "--threads",
        type=positive,
        default=1,
        help="requests computed at the same time, a core each",
    )


def run(
    arguments: argparse.Namespace, load: Callable[[argparse.Namespace], Model], *, server: str
) -> int:
    """Load a model into this process, serve until SIGTERM; returns the exit code."""
    try:
        address = Address.parse(arguments.listen)
        secret = replica_secret()
        loaded = load(arguments)
        engine = ModelEngine(
            loaded,
            name=arguments.name,
            version=arguments.model_version,
            rows=arguments.batch_rows,
        )
        served = app.Served.of(arguments, loaded, [engine] * arguments.threads, server=server)
        serve(served, secret, address)
    except StartRefused as refusal:
        return report(refusal)
    return 0


def parse(
    argv: list[str] | None, program: str, about: str | None, *, model: str
) -> argparse.Namespace:
    """Read the command line of a server that has no arguments of its own."""
    reader = parser(program, about, model=model)
    threads(reader)
    return reader.parse_args(argv)


def run_folder(told: argparse.Namespace, load: Callable[..., Model], *, server: str) -> int:
    """
    Run a server that has no arguments of its own; returns the exit code.

    Args:
        load: Called with the path of the model, `rows` and `together`.
    """
    return run(
        told,
        lambda told: load(told.model, rows=told.max_batch, together=told.batch_rows),
        server=server,
    )


def milliseconds(text: str) -> int:
    """Read a number of milliseconds."""
    number = int(text)
    if number < 0:
        raise ValueError(text)
    return number


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
