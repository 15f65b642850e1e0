"""Starts the shipped model servers as the platform does: child processes on a socket with a secret."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx2
import pytest

ROOT = Path(__file__).resolve().parents[2]
ARTIFACTS = ROOT / ".build" / "artifacts"
TEST_ARTIFACTS = ROOT / ".build" / "artifacts-test"
SECRET = "a-secret-for-tests-alone-0123456789"
START_S = 25  # a busy machine loads slowly; the test's own limit is 30 s
STOP_S = 20


def prepared(folder: Path) -> Path:
    """Return a prepared model's folder; without it the tests cannot say anything."""
    if not (folder / "prepared.json").is_file():
        pytest.fail(f"the model at {folder} is not prepared: run `make setup`")
    return folder


@dataclass
class Replica:
    """A running model server."""

    process: subprocess.Popen[str]
    address: str
    lines: list[str] = field(default_factory=list)

    def client(self, *, secret: str | None = SECRET) -> httpx2.Client:
        """Return an HTTP client of it, with the secret unless told otherwise."""
        unix = self.address.removeprefix("unix:") if self.address.startswith("unix:") else None
        return httpx2.Client(
            transport=httpx2.HTTPTransport(uds=unix),
            base_url="http://replica" if unix else f"http://{self.address}",
            headers={"authorization": f"Bearer {secret}"} if secret else {},
            timeout=20,
        )

    def stop(self) -> int:
        """Ask it to stop and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_S)


@contextmanager
def replica(module: str, model: Path, listen: str, *arguments: str) -> Iterator[Replica]:
    """Run a server until the block ends; it is ready once it says where it listens."""
    process = subprocess.Popen(
        command(module, model, listen, *arguments),
        env={"PATH": os.defpath, "TOWPATH_REPLICA_SECRET": SECRET},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    running = Replica(process, listen)
    heard = threading.Event()

    def read() -> None:
        assert process.stderr is not None
        for line in process.stderr:
            running.lines.append(line)
            if line.startswith("listening on "):
                where = line.removeprefix("listening on ").strip().removeprefix("http://")
                running.address = listen if listen.startswith("unix:") else where
                heard.set()
        heard.set()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    try:
        if not heard.wait(START_S) or process.poll() is not None:
            raise AssertionError(f"{module} did not start: {''.join(running.lines)}")
        yield running
    finally:
        if process.poll() is None:
            process.kill()
            process.wait(STOP_S)
        reader.join(STOP_S)
        assert process.stderr is not None
        process.stderr.close()


def refused(
    module: str, model: Path, listen: str, *arguments: str, secret: str | None = SECRET
) -> str:
    """Run a server that should not start; return what it wrote."""
    env = {"PATH": os.defpath} | ({"TOWPATH_REPLICA_SECRET": secret} if secret else {})
    done = subprocess.run(
        command(module, model, listen, *arguments),
        env=env,
        capture_output=True,
        text=True,
        timeout=START_S,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    return done.stderr


def command(module: str, model: Path, listen: str, *arguments: str) -> list[str]:
    """Return the command line that starts a server."""
    told = ["--model", str(model), "--name", "subject", "--listen", listen]
    return [sys.executable, "-m", f"towpath_runtimes.{module}", *told, *arguments]
