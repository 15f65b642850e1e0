"""Install and build what Towpath needs, showing what, how far and how long.

Runs on a bare Python: standard library only. Each step is skipped while its inputs are unchanged,
so a second run takes a moment and needs no network.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / ".build"
VENV = ROOT / ".venv"
UV = BUILD / "uv" / "bin" / "uv"
LOG = BUILD / "setup.log"
TRITON = BUILD / "triton"
VERSITYGW = BUILD / "versitygw" / "versitygw"

# Distributions of this repository, installed without their dependencies: the lock file has those.
OWN = ("sdks/python", "runtimes", "control")

# Commands and files that Debian packages bring, for running, for testing and for measuring.
RUN_PACKAGES = {"gcc": "gcc", "ld": "binutils"}
TEST_PACKAGES = {
    "/usr/lib/postgresql/15/bin/postgres": "postgresql",
    "node": "nodejs",
    "npm": "npm",
    "/usr/bin/docker-registry": "docker-registry",
}
BENCH_PACKAGES = {
    "/usr/sbin/nginx": "nginx-light",
    "/usr/include/openssl/ssl.h": "libssl-dev",  # generator and upstream speak TLS
    "/usr/bin/valgrind": "valgrind",
    "rclone": "rclone",  # what artifacts are measured beside
}


class StepFailedError(Exception):
    """A step ended badly; `fix` says what to do."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(what)
        self.fix = fix


@dataclasses.dataclass(frozen=True)
class Step:
    """One line of the set-up: `run` returns what the line says when it is done."""

    name: str
    run: Callable[[], str]
    inputs: Callable[[], Iterable[Path]]
    outputs: tuple[Path, ...] = ()


def shell(*command: str | Path, env: dict[str, str] | None = None, fix: str) -> str:
    """Run a command with its output in the log; raise with `fix` when it fails."""
    with LOG.open("a", encoding="utf-8") as log:
        log.write(f"$ {' '.join(map(str, command))}\n")
        log.flush()
        done = subprocess.run(
            command, cwd=ROOT, env={**os.environ, **(env or {})}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=log, text=True, check=False,
        )  # fmt: skip
        log.write(done.stdout)
    if done.returncode:
        raise StepFailedError(f"`{command[0]}` ended with {done.returncode}", fix)
    return done.stdout


def digest(paths: Iterable[Path]) -> str:
    """Hash names and contents of files, folders walked in order."""
    total = hashlib.sha256()
    for path in sorted(walk(paths)):
        total.update(str(path.relative_to(ROOT)).encode())
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def walk(paths: Iterable[Path]) -> Iterable[Path]:
    """List the files under `paths`, leaving out what builds leave behind."""
    for path in paths:
        if path.is_file():
            yield path
        elif path.is_dir():
            yield from (
                file
                for file in path.rglob("*")
                if file.is_file() and not {"__pycache__", "target", "corpus"} & set(file.parts)
            )


def install_debian(wanted: dict[str, str]) -> list[str]:
    """Install the Debian packages of commands and files that are missing."""
    missing = [
        package
        for found, package in wanted.items()
        if not (shutil.which(found) or Path(found).is_file())
    ]
    if missing:
        sudo = [] if os.geteuid() == 0 else ["sudo", "-n"]
        fix = f"install these packages by hand, then try again: {' '.join(missing)}"
        if not shutil.which("apt-get"):
            raise StepFailedError(f"missing: {', '.join(missing)}", fix)
        quiet = {"DEBIAN_FRONTEND": "noninteractive"}
        shell(*sudo, "apt-get", "update", "-qq", env=quiet, fix=fix)
        shell(
            *sudo, "apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing,
            env=quiet, fix=fix,
        )  # fmt: skip
    return missing


def toolchain() -> str:
    """Check Python and Rust, install the C linker and uv."""
    if sys.version_info < (3, 11):  # noqa: UP036 - whoever starts this may have any Python
        raise StepFailedError(
            f"Python {platform.python_version()} is too old", "install Python 3.11 or later"
        )
    if not shutil.which("cargo"):
        raise StepFailedError("cargo is missing", "install Rust 1.95 or later (rustup.rs)")
    install_debian(RUN_PACKAGES)
    if not UV.exists():
        shell(sys.executable, "-m", "venv", BUILD / "uv", fix="install the package python3-venv")
        shell(
            BUILD / "uv/bin/pip", "install", "-q", "--require-hashes",
            "-r", ROOT / "tools/uv.lock.txt",
            fix="see .build/setup.log; is the Python registry reachable",
        )  # fmt: skip
    rust = shell("rustc", "--version", fix="install Rust 1.95 or later").split()[1]
    return f"python {platform.python_version()} · rust {rust}"


def python_packages() -> str:
    """Make the environment exactly what the lock file says, our own distributions in place."""
    env = {"UV_PYTHON_DOWNLOADS": "never", "VIRTUAL_ENV": str(VENV)}
    fix = "see .build/setup.log; is the Python registry reachable"
    if not VENV.exists():
        shell(UV, "venv", "-q", "--python", sys.executable, VENV, env=env, fix=fix)
    shell(UV, "pip", "sync", "-q", "--require-hashes", ROOT / "requirements.lock", env=env, fix=fix)
    own = [part for folder in OWN for part in ("-e", f"./{folder}")]
    shell(UV, "pip", "install", "-q", "--no-deps", "--no-build-isolation", *own, env=env, fix=fix)
    locked = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    return f"{sum('==' in line for line in locked.splitlines())}, locked"


def gateway() -> str:
    """Build the gateway's wheel and install it."""
    env = {
        "VIRTUAL_ENV": str(VENV),
        "MATURIN_PEP517_ARGS": "--profile ci --locked",
        "CARGO_TARGET_DIR": os.environ.get("CARGO_TARGET_DIR", str(ROOT / "target")),
        "PATH": f"{VENV / 'bin'}:{os.environ['PATH']}",
    }
    # Built once by cargo itself, whose lines show how far it is; the wheel takes what is there.
    shell(
        "cargo", "build", "--locked", "--profile", "ci", "-p", "towpath-gateway",
        env=env, fix="see .build/setup.log",
    )  # fmt: skip
    shell(
        UV, "pip", "install", "-q", "--no-deps", "--no-build-isolation",
        "--reinstall-package", "towpath-gateway", "./gateway",
        env=env, fix="see .build/setup.log",
    )  # fmt: skip
    return shell(VENV / "bin/towpath-gateway", "--version", fix="see .build/setup.log").strip()


def models() -> str:
    """Prepare the demo models, outside any data folder."""
    out = shell(
        VENV / "bin/python", ROOT / "tools/artifacts.py", "--out", BUILD / "artifacts",
        env={"TOWPATH_UV": str(UV)}, fix="see .build/setup.log",
    )  # fmt: skip
    lines = [line for line in out.splitlines() if line.strip()]
    return lines[-1].strip() if lines else "prepared"


def test_tools() -> str:
    """Install what only the tests need."""
    installed = install_debian(TEST_PACKAGES)
    shell(
        "cargo", "build", "-q", "--locked", "--profile", "ci", "-p", "towpath-testkit",
        fix="see .build/setup.log",
    )  # fmt: skip
    if (ROOT / "tests/node/package-lock.json").exists():
        shell(
            "npm", "ci", "--prefix", "tests/node", "--no-audit", "--no-fund", "--silent",
            fix="see .build/setup.log; is the npm registry reachable",
        )  # fmt: skip
    return (
        "installed " + ", ".join(installed)
        if installed
        else "postgresql · node · registry · fake upstream"
    )


def apart(name: str) -> str:
    """Install what tests need in versions of its own, in an environment of its own."""
    folder, lock = BUILD / name, ROOT / "tests" / name / "packages.lock"
    env = {"UV_PYTHON_DOWNLOADS": "never", "VIRTUAL_ENV": str(folder)}
    fix = "see .build/setup.log; is the Python registry reachable"
    if not folder.exists():
        shell(UV, "venv", "-q", "--python", sys.executable, folder, env=env, fix=fix)
    shell(UV, "pip", "sync", "-q", "--require-hashes", lock, env=env, fix=fix)
    locked = lock.read_text(encoding="utf-8")
    return f"{sum('==' in line for line in locked.splitlines())}, locked"


def triton() -> str:
    """Install a Triton server, whose Python backend runs on this Python's library."""
    if platform.machine() != "x86_64" or sys.version_info >= (3, 13):
        TRITON.mkdir(exist_ok=True)
        return "none for this machine"
    library = f"libpython{sys.version_info.major}.{sys.version_info.minor}.so.1.0"
    places = [Path(sysconfig.get_config_var("LIBDIR")), *Path("/usr/lib").glob("*-linux-gnu")]
    if not any((place / library).exists() for place in places):
        install_debian({library: library.removesuffix(".so.1.0")})
    shutil.rmtree(TRITON, ignore_errors=True)
    shell(
        UV, "pip", "install", "-q", "--no-deps", "--require-hashes", "--target", TRITON,
        "-r", ROOT / "tests/triton/packages.lock",
        fix="see .build/setup.log; is the Python registry reachable",
    )  # fmt: skip
    return "2.51.0, Python backend"


def versitygw() -> str:
    """Build the second S3 server of the tests, in the versions that its sums pin."""
    fix = "see .build/setup.log; is the Go module proxy reachable, and `go` 1.25 or later"
    if not shutil.which("go"):
        raise StepFailedError("go is missing", "install Go 1.25 or later (go.dev)")
    shell(
        "go", "build", "-C", ROOT / "tests/versitygw", "-mod=readonly", "-trimpath",
        "-ldflags=-s -w", "-o", VERSITYGW, "github.com/versity/versitygw/cmd/versitygw",
        env={"CGO_ENABLED": "0", "GOTOOLCHAIN": "local"}, fix=fix,
    )  # fmt: skip
    pinned = (ROOT / "tests/versitygw/go.mod").read_text(encoding="utf-8")
    return next(line.split()[1] for line in pinned.splitlines() if "versitygw v" in line)


def bench_tools() -> str:
    """Install what measuring needs."""
    installed = install_debian(BENCH_PACKAGES)
    return "installed " + ", ".join(installed) if installed else "nginx · openssl"


def steps(*, testing: bool, measuring: bool) -> list[Step]:
    """List the steps in order."""
    rust = [
        ROOT / "Cargo.toml",
        ROOT / "Cargo.lock",
        ROOT / "gateway/pyproject.toml",
        ROOT / "gateway/crates",
    ]
    manifests = [ROOT / folder / "pyproject.toml" for folder in OWN]
    binary = VENV / "bin/towpath-gateway"
    found = [
        Step("toolchain", toolchain, lambda: [ROOT / "tools/setup.py"], (UV,)),
        Step(
            "python packages",
            python_packages,
            lambda: [ROOT / "requirements.lock", *manifests],
            (VENV,),
        ),
        # `uv pip sync` removes what the lock file does not name, the gateway among it.
        Step(
            "gateway", gateway, lambda: [*rust, ROOT / "requirements.lock", *manifests], (binary,)
        ),
        Step(
            "models",
            models,
            lambda: [
                ROOT / "tools/artifacts.py",
                ROOT / "tools/artifacts",
                ROOT / "templates/demo",
            ],
            (BUILD / "artifacts",),
        ),
    ]
    if testing:
        found.append(
            Step(
                "test tools",
                test_tools,
                lambda: [*rust, ROOT / "tests/node/package-lock.json"],
                (
                    Path("/usr/lib/postgresql/15/bin/postgres"),
                    Path("/usr/bin/docker-registry"),
                ),
            )
        )
        found += [_apart("langchain"), _apart("mlflow")]
        found.append(
            Step("triton", triton, lambda: [ROOT / "tests/triton/packages.lock"], (TRITON,))
        )
        found.append(Step("versitygw", versitygw, lambda: [ROOT / "tests/versitygw"], (VERSITYGW,)))
    if measuring:
        found.append(Step("bench tools", bench_tools, list, tuple(map(Path, BENCH_PACKAGES))))
    return found


def _apart(name: str) -> Step:
    lock = ROOT / "tests" / name / "packages.lock"
    return Step(name, lambda: apart(name), lambda: [lock], (BUILD / name,))


def perform(step: Step) -> None:
    """Run one step unless nothing changed, with its line on the terminal."""
    stamp = BUILD / "stamps" / step.name.replace(" ", "-")
    wanted = digest(step.inputs())
    if stamp.exists() and all(output.exists() for output in step.outputs):
        known, _, said = stamp.read_text(encoding="utf-8").partition("\n")
        if known == wanted:
            print(status("✓", step.name, said, None), flush=True)
            return
    began = time.monotonic()
    with ticking(step.name, began):
        said = step.run()
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.write_text(f"{wanted}\n{said}", encoding="utf-8")
    print(status("✓", step.name, said, time.monotonic() - began), flush=True)


@contextlib.contextmanager
def ticking(name: str, began: float) -> Iterator[None]:
    """Show the time while a step works: in place on a terminal, every 30 s in a log."""
    done, live = threading.Event(), sys.stdout.isatty()

    def tick() -> None:
        while not done.wait(0.5 if live else 30):
            line = status("·", name, last_line(), time.monotonic() - began)
            print(f"\r{line}" if live else line, end="" if live else "\n", flush=True)

    if not live:
        print(f"  · {name}", flush=True)
    clock = threading.Thread(target=tick, daemon=True)
    clock.start()
    try:
        yield
    finally:
        done.set()
        clock.join()
        if live:
            print("\r\033[K", end="")


def status(mark: str, name: str, said: str, seconds: float | None) -> str:
    """Write one line of the set-up; a step without a time was ready before."""
    took = "ready" if seconds is None else duration(seconds)
    return f"  {mark} {name:<16} {said:<52.52} {took:>10}"


def last_line() -> str:
    """Say what the log said last."""
    with LOG.open("rb") as log:
        log.seek(0, os.SEEK_END)
        log.seek(max(0, log.tell() - 400))
        lines = log.read().decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def duration(seconds: float) -> str:
    """Write a time for people."""
    return f"{int(seconds // 60)} m {int(seconds % 60)} s" if seconds >= 60 else f"{seconds:.1f} s"


def main() -> int:
    """Run every step; end with what went wrong and what to do."""
    reader = argparse.ArgumentParser(description=__doc__)
    reader.add_argument("--testing", action="store_true", help="also what the tests need")
    reader.add_argument("--measuring", action="store_true", help="also what the bench needs")
    options = reader.parse_args()
    BUILD.mkdir(exist_ok=True)
    LOG.write_text("", encoding="utf-8")
    for step in steps(testing=options.testing, measuring=options.measuring):
        try:
            perform(step)
        except StepFailedError as failure:
            tail = LOG.read_text(encoding="utf-8", errors="replace").splitlines()[-25:]
            print("\n".join(f"    {line}" for line in tail), file=sys.stderr)
            print(f"error: {step.name}: {failure}\n\nfix: {failure.fix}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
