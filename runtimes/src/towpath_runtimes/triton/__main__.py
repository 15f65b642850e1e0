"""Serve an ONNX model by a Triton that is installed here: `python -m towpath_runtimes.triton`."""

import argparse
import os
import secrets
import sys
from pathlib import Path
from typing import NoReturn

from towpath_runtimes.kserve import serving
from towpath_runtimes.listening import Address, StartRefused, replica_secret, report
from towpath_runtimes.triton import repository

REPOSITORY = Path("triton-repository")
# Triton waits so long for open connections when it is asked to end; less than the 10 s after which
# the platform kills.
END_S = 8
# What no caller of a model needs, and one could do harm by: files written, memory shared, models
# exchanged.
CLOSED = "shared-memory,model-repository,trace,logging"


def main(argv: list[str] | None = None) -> int:
    """Write the repository and become the server; returns the exit code where that fails."""
    told = parse(argv)
    try:
        address = Address.parse(told.listen)
        replica_secret()  # Triton has no use for it, and its environment is any model's to read
        program = _program(told.server)
        wanted = repository.Wanted(
            name=told.name,
            instances=told.threads,
            batch=told.max_batch,
            waiting=told.max_waiting,
            joined=told.batch_rows,
            delay_ms=told.batch_delay_ms,
        )
        repository.write(REPOSITORY, told.model, wanted, backends=told.server / "backends")
        address.clear()
    except StartRefused as refusal:
        return report(refusal)
    return _become(
        program, command(program, REPOSITORY.resolve(), told.server / "backends", address)
    )


def command(program: Path, models: Path, backends: Path, address: Address) -> list[str]:
    """Return the command line of a Triton that is reached at one address, and does nothing else."""
    host, port = (f"unix:{address.path}", 0) if address.path else (address.host, address.port)
    return [
        str(program),
        f"--model-repository={models}",
        f"--backend-directory={backends}",
        f"--http-address={host}",
        f"--http-port={port}",
        f"--http-restricted-api={CLOSED}:closed={secrets.token_hex()}",
        "--allow-grpc=false",
        "--allow-metrics=false",
        "--allow-gpu-metrics=false",
        "--model-control-mode=none",
        "--disable-auto-complete-config",
        "--log-info=false",
        f"--exit-timeout-secs={END_S}",
    ]


def environment() -> dict[str, str]:
    """
    Return what Triton is started with: its Python is the one whose `python3` is found first.

    That of a virtual environment would bring packages that the backend's library does not know.
    """
    bound = os.environ.get("PATH", os.defpath)  # noqa: TID251 (it is passed on)
    return {**os.environ, "PATH": f"{sys.base_prefix}/bin:{bound}"}  # noqa: TID251 (as above)


def _become(program: Path, arguments: list[str]) -> NoReturn:
    os.umask(0o077)  # the socket is its owner's alone
    sys.stderr.flush()
    os.execve(program, arguments, environment())  # noqa: S606 (the program that was asked for)


def _program(server: Path) -> Path:
    program = server / "bin" / "tritonserver"
    if not os.access(program, os.X_OK):
        raise StartRefused(
            f"there is no Triton at `{program}`",
            fix="install it there, or name its folder as `--server`",
        )
    return program


def parse(argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    reader = serving.parser(
        "towpath_runtimes.triton", __doc__, model="a folder with one ONNX model, or its file"
    )
    serving.threads(reader)
    reader.add_argument(
        "--server",
        type=Path,
        default=Path("/opt/tritonserver"),
        help="the folder of Triton, with `bin` and `backends`",
    )
    return reader.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main())
