"""
Serve a GGUF model with llama.cpp's own server: `python -m towpath_runtimes.llama_cpp`.

The engine, its HTTP server and its OpenAI dialect are llama.cpp's, embedded through `xllamacpp`;
this file only sets it up: where it listens, who may call, how much memory and how many threads it
may take. Nothing of a request passes through Python.
"""

import argparse
import contextlib
import os
import signal
import sys
import time
from pathlib import Path

import xllamacpp

from towpath_runtimes.listening import (
    Address,
    StartRefused,
    owner_only,
    positive,
    replica_secret,
    report,
    stop_signal,
)

THREADS_MAXIMUM = 2  # by default; more is for whoever owns the machine to say
MAGIC = b"GGUF"
GAUGES = ("llamacpp:requests_processing", "llamacpp:requests_deferred")
DRAIN_S = 20
STOP_S = 25  # less than the 30 s after which supervisors commonly kill
DRAIN_STEP_S = 0.05
WARNINGS = 2  # llama.cpp's log levels: 1 errors, 2 warnings, 3 also a line per request


def main(argv: list[str] | None = None) -> int:
    """Load the model, serve until SIGTERM, stop in order; returns the exit code."""
    arguments = parse(argv)
    try:
        address = Address.parse(arguments.listen)
        parameters = configure(arguments, address, replica_secret())
        address.clear()
        serve(parameters, address)
    except StartRefused as refusal:
        return report(refusal)
    return 0


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="towpath_runtimes.llama_cpp", description=__doc__)
    parser.add_argument(
        "--model", type=Path, required=True, help="a GGUF file, or a folder that holds one model"
    )
    parser.add_argument("--name", required=True, help="the model's name in answers")
    parser.add_argument("--listen", required=True, help="unix:/path.sock or 127.0.0.1:PORT")
    parser.add_argument(
        "--context-length",
        type=positive,
        default=4096,
        help="tokens of one request, prompt and answer",
    )
    parser.add_argument(
        "--parallel", type=positive, default=4, help="requests answered at the same time"
    )
    parser.add_argument("--threads", type=positive, default=default_threads())
    parser.add_argument(
        "--prompt-cache-mib", type=int, default=256, help="memory for prompts seen before"
    )
    parser.add_argument(
        "--gpu-layers", type=int, help="layers that lie on GPUs; without it as many as fit"
    )
    parser.add_argument(
        "--tensor-split", type=proportions, help="what each GPU has of the model, as 3,1"
    )
    return parser.parse_args(argv)


def proportions(text: str) -> list[float]:
    """
    Read numbers that are joined by commas.

    Raises:
        ValueError: One is no number, or below 0, or all are 0.
    """
    numbers = [float(one) for one in text.split(",")]
    if min(numbers) < 0 or not 0 < sum(numbers) < float("inf"):
        raise ValueError(text)
    return numbers


def default_threads() -> int:
    """
    Leave one core to everybody else.

    The engine's threads wait for each other in a spin, at every layer of every token: with as many
    of them as cores, a second busy process makes generation slower by a factor of ten (measured on
    two cores), while one thread fewer costs a quarter at most.
    """
    return max(1, min(THREADS_MAXIMUM, (os.cpu_count() or 1) - 1))


def configure(
    arguments: argparse.Namespace, address: Address, secret: str
) -> xllamacpp.CommonParams:
    """
    Describe the server to llama.cpp.

    Raises:
        StartRefused: There is no model at the path.
    """
    parameters = xllamacpp.CommonParams()
    parameters.model.path = str(model_file(arguments.model))
    parameters.model_alias = {arguments.name}
    parameters.hostnames = [str(address.path) if address.path else address.host]
    parameters.port = address.port
    parameters.api_keys = [secret]
    # Each slot has its whole context to itself, so that one long request cannot starve the others.
    parameters.n_ctx = arguments.context_length * arguments.parallel
    parameters.n_parallel = arguments.parallel
    parameters.kv_unified = False
    parameters.cont_batching = True
    parameters.cpuparams.n_threads = arguments.threads
    parameters.cpuparams_batch.n_threads = arguments.threads
    parameters.cache_ram_mib = arguments.prompt_cache_mib
    if arguments.gpu_layers is not None:
        parameters.n_gpu_layers = arguments.gpu_layers
    if arguments.tensor_split is not None:
        places = len(parameters.tensor_split)
        parameters.tensor_split = [*arguments.tensor_split, *[0.0] * places][:places]
    parameters.endpoint_slots = False  # other callers' prompts
    parameters.endpoint_props = False  # changing settings at run time
    parameters.endpoint_metrics = True  # behind the secret as well
    parameters.ui = False
    parameters.verbosity = WARNINGS
    return parameters


def model_file(path: Path) -> Path:
    """
    Find the GGUF file, the first of its parts where it has several.

    Raises:
        StartRefused: There is none, there are several models, or it is not a GGUF file.
    """
    if path.is_dir():
        found = sorted(path.glob("*.gguf"))
        first = [file for file in found if "-00001-of-" in file.name] or found
        if len(first) != 1:
            raise StartRefused(
                f"the folder `{path}` holds {len(first)} GGUF models, not one",
                fix="point `--model` at the file itself",
            )
        path = first[0]
    try:
        with path.open("rb") as file:
            magic = file.read(len(MAGIC))
    except OSError as error:
        raise StartRefused(
            f"the model `{path}` cannot be read: {error.strerror}",
            fix="check `--model` and the file's owner",
        ) from error
    if magic != MAGIC:
        raise StartRefused(
            f"`{path}` is not a GGUF file",
            fix="convert the model to GGUF, or choose the runtime of its format",
        )
    return path


def serve(parameters: xllamacpp.CommonParams, address: Address) -> None:
    """
    Load the model and serve until a signal says stop.

    Until the model is loaded SIGTERM ends the process at once: there is nothing to put in order
    yet.

    Raises:
        StartRefused: llama.cpp cannot load the model or cannot listen.
    """
    try:
        with owner_only() if address.path else contextlib.nullcontext():
            server = xllamacpp.Server(parameters)
    except RuntimeError as error:
        raise StartRefused(
            f"llama.cpp did not start: {error}",
            fix="the lines above say why: a damaged file, an unknown architecture, "
            "too little memory, or a port in use",
        ) from error
    with stop_signal() as stop:
        sys.stderr.write(f"listening on {server.listening_address}\n")
        sys.stderr.flush()
        stop.recv(1)
    # An engine that is stuck in one token answers nobody, itself included: the alarm ends the
    # process whatever happens below, and so does a second signal.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)
    signal.alarm(STOP_S)
    address.remove()  # no new connections; those that are open may finish
    deadline = time.monotonic() + DRAIN_S
    while working(server) and time.monotonic() < deadline:
        time.sleep(DRAIN_STEP_S)
    del server  # joins the engine's threads: what is still open is cut, the listener closes


def working(server: xllamacpp.Server) -> bool:
    """Tell whether the engine has a request in a slot or in its queue."""
    for line in str(server.handle_metrics()).splitlines():
        name, _, value = line.partition(" ")
        if name in GAUGES and float(value) > 0:
            return True
    return False


if __name__ == "__main__":
    sys.exit(main())
