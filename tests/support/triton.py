"""A real Triton Inference Server with models of the tests' own, as long as a block runs."""

import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import ports

ROOT = Path(__file__).resolve().parents[2]
MODELS = ROOT / "tests" / "triton" / "models"
INSTALLED = (ROOT / ".build" / "triton").resolve()
# What there is a server for.
AVAILABLE = platform.machine() == "x86_64" and sys.version_info < (3, 13)
_START_S = 60.0
_LOOK_AGAIN_S = 0.05


@dataclass(frozen=True)
class Triton:
    """Where it listens."""

    rest: str
    grpc: str


@contextmanager
def running(folder: Path) -> Iterator[Triton]:
    """Run one for the length of a block; `folder` has what it must find in one place, and its log."""
    rest, grpc = ports.free(2)
    log = folder / "triton.log"
    server, libraries = installed(folder)
    with (
        log.open("w") as out,
        subprocess.Popen(
            _command(server, rest, grpc), env=_environment(libraries), stdout=out, stderr=out
        ) as process,
    ):
        try:
            _await(process, f"http://127.0.0.1:{rest}/v2/models/count/ready", log)
            yield Triton(f"http://127.0.0.1:{rest}", f"http://127.0.0.1:{grpc}")
        finally:
            process.kill()
            process.wait()


def installed(folder: Path) -> tuple[Path, str]:
    """
    Put a whole Triton into a folder, as its images have one, out of what its Python package has.

    Returns:
        The folder, and where it finds libraries.
    """
    server = INSTALLED / "pytriton" / "tritonserver"
    if not server.is_dir():
        raise FileNotFoundError("no Triton: `tools/setup.py --testing` installs it")
    (folder / "bin").symlink_to(server / "bin")
    backend = folder / "backends" / "python"
    shutil.copytree(server / "backends" / "python", backend)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    stub = server / "python_backend_stubs" / version / "triton_python_backend_stub"
    shutil.copy(stub, backend)
    # Its Python looks nowhere but here.
    for name in ("numpy", "numpy.libs"):
        (backend / name).symlink_to(INSTALLED / name)
    return folder, f"{INSTALLED / 'nvidia_pytriton.libs'}:{sysconfig.get_config_var('LIBDIR')}"


def _command(server: Path, rest: int, grpc: int) -> list[str]:
    return [
        str(server / "bin" / "tritonserver"),
        *("--model-repository", str(MODELS)),
        *("--backend-directory", str(server / "backends")),
        *("--http-address", "127.0.0.1", "--http-port", str(rest)),
        *("--grpc-address", "127.0.0.1", "--grpc-port", str(grpc)),
        *("--allow-metrics", "false", "--allow-gpu-metrics", "false"),
        # Its own exit waits for connections that clients keep.
        *("--exit-timeout-secs", "1"),
    ]


def _environment(libraries: str) -> dict[str, str]:
    return {
        **os.environ,  # noqa: TID251 (the child needs a home and the like)
        # Its Python takes the packages of the environment whose Python is found first.
        "PATH": f"{sys.base_prefix}/bin:{os.defpath}",
        "LD_LIBRARY_PATH": libraries,
    }


def _await(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    """Wait until every model is loaded."""
    deadline = time.monotonic() + _START_S
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"Triton is not ready:\n{log.read_text()[-4_000:]}") from None
            time.sleep(_LOOK_AGAIN_S)
