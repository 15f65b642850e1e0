"""
The whole platform as a user starts it: `towpath up` in a folder of its own, on a free port.

Waiting ends by what the platform says (its output, its readiness, its answers) and is bounded; nothing
here sleeps for a guessed time.
"""

import json
import os
import queue
import re
import shutil
import signal
import ssl
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import gateway_program
import httpx2
import psutil

from towpath_server.core.folder import DataFolder

ROOT = Path(__file__).resolve().parents[2]
ARTIFACTS = ROOT / ".build" / "artifacts"
ADMIN_KEY = "an-admin-key-for-end-to-end-tests-of-enough-length"
# A fresh start loads three models; a busy machine of two cores takes its time.
START_S = 150.0
STOP_S = 60.0
_LOOK_AGAIN_S = 0.02
_ENVIRONMENT = os.environ  # noqa: TID251 (the child needs PATH and the like)


class Up:
    """One `towpath up`; `authority` (PEM) vouches for its certificate where it has one."""

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        demo: bool = False,
        environment: Mapping[str, str] | None = None,
        authority: Path | None = None,
    ) -> None:
        self.folder = folder
        self.authority = authority
        self.data = folder / "data"
        self.config = folder / "config.toml"
        self.messages = folder / "up.stderr"
        self.address = ""
        self.output: list[str] = []
        self._arguments = [*arguments, *([] if demo else ["--no-demo"])]
        self._environment = {
            **{k: v for k, v in _ENVIRONMENT.items() if not k.startswith("TOWPATH_")},
            "TOWPATH_CONFIG": str(self.config),
            "TOWPATH_ADMIN_KEY": ADMIN_KEY,
            # Model servers of tests are on this machine.
            "TOWPATH_EGRESS_ALLOW": "127.0.0.0/8",
            "TOWPATH_GATEWAY_BIN": str(gateway_program.find()),
            "TOWPATH_DEMO_DIR": str(ARTIFACTS),
            "HOME": str(folder),
            **(environment or {}),
        }
        self._lines: queue.Queue[str | None] = queue.Queue()
        self.process: subprocess.Popen[str] | None = None

    def spawn(self, *arguments: str) -> subprocess.Popen[str]:
        """Start the command without waiting for anything."""
        given = [*self._arguments, *arguments]
        if "--port" not in given:
            given += ["--port", "0"]
        if "--data" not in given:
            given += ["--data", str(self.data)]
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.messages.open("a") as messages:
            return subprocess.Popen(
                [Path(sys.executable).with_name("towpath"), "up", *given],
                cwd=self.folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=messages,
                text=True,
                start_new_session=True,
            )

    def refused(self, *arguments: str) -> tuple[int, str]:
        """Start what must not start; return its exit status and what it said."""
        with self.spawn(*arguments) as process:
            try:
                status = process.wait(START_S)
            finally:
                process.kill()
        return status, self.messages.read_text()

    def start(self, *arguments: str) -> Self:
        """Start it and wait until it says how to stop it."""
        self.process = self.spawn(*arguments)
        self.output = []
        self._lines = queue.Queue()
        threading.Thread(
            target=_read, args=(self.process, self._lines), name="up-output", daemon=True
        ).start()
        deadline = time.monotonic() + START_S
        while not self.output or not self.output[-1].startswith("  Stop"):
            try:
                line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                self.stop()
                raise AssertionError(f"not ready after {START_S} s:\n{self.said()}") from None
            if line is None:
                raise AssertionError(f"`towpath up` ended:\n{self.said()}")
            self.output.append(line)
        found = re.search(r"Address\s+(\S+)", "\n".join(self.output))
        assert found, self.output
        self.address = found[1]
        return self

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Stop it as Ctrl-C does, and return its exit status."""
        if self.process is None:
            return 0
        with self.process as process:
            if process.poll() is None:
                process.send_signal(number)
            try:
                return process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                self.kill_parts()
                raise AssertionError(f"did not stop in {STOP_S} s:\n{self.said()}") from None

    def kill_parts(self) -> None:
        """Kill whatever the platform left running; for the end of a test that killed `up` itself."""
        for process in self.own_processes():
            process.kill()
            process.wait()

    def own_processes(self) -> list[psutil.Process]:
        """List the processes of this platform: those whose environment names its folder."""
        found = []
        for process in psutil.process_iter():
            try:
                ours = str(self.folder) in process.environ().get("TOWPATH_CONFIG", "")
                model = str(self.data) in process.environ().get("TOWPATH_REPLICA_HOME", "")
            except (psutil.Error, OSError):
                continue
            if (ours or model) and process.pid != os.getpid():
                found.append(process)
        return found

    def said(self) -> str:
        """Return all that it wrote, and the ends of its parts' logs."""
        texts = ["\n".join(self.output), self.messages.read_text()]
        logs = sorted((self.data / "logs").glob("*.log"))
        ends = ["\n".join([f"== {log.name}", *log.read_text().splitlines()[-20:]]) for log in logs]
        return "\n".join([*texts, *ends])

    def pid(self, part: str) -> int:
        """Return the process id of `gateway` or `control`."""
        return int(json.loads((DataFolder.at(self.data).run / f"{part}.pid").read_text())["pid"])

    def kill(self, part: str) -> int:
        """Kill a part without warning; return the process id it had."""
        pid = self.pid(part)
        os.kill(pid, signal.SIGKILL)
        return pid

    def replaced(self, part: str, former: int, *, within_s: float = 60.0) -> None:
        """Wait until a part runs as another process than `former`."""

        def another() -> bool:
            try:
                return self.pid(part) != former
            except (OSError, ValueError):
                return False  # between the two

        eventually(another, f"another {part}", within_s=within_s)

    def ready(self, *, within_s: float = 60.0) -> None:
        """Wait until the front door says that it is ready."""

        def answers() -> bool:
            url, trust = f"{self.address}/readyz", self.trust()
            try:
                return httpx2.get(url, timeout=5, verify=trust).status_code == 200
            except httpx2.HTTPError:
                return False

        eventually(answers, "readiness", within_s=within_s)

    @property
    def demo_key(self) -> str:
        """The key that the first start saved for the command line."""
        return tomllib.loads(self.config.read_text())["profiles"]["default"]["key"]

    def api(self, key: str = ADMIN_KEY) -> httpx2.Client:
        """Make a client of the control plane's API, as the front door relays it."""
        return httpx2.Client(
            base_url=f"{self.address}/api/v1",
            headers={"authorization": f"Bearer {key}"},
            timeout=30,
            verify=self.trust(),
        )

    def trust(self) -> ssl.SSLContext:
        """Make what a client trusts: the authority of this platform alone, where it has one."""
        return ssl.create_default_context(cafile=self.authority)


def _read(process: subprocess.Popen[str], lines: "queue.Queue[str | None]") -> None:
    if process.stdout is None:
        raise AssertionError("the output is not a pipe")
    try:
        for line in process.stdout:
            lines.put(line.rstrip("\n"))
    except ValueError:
        pass  # closed at the end of the test
    lines.put(None)


def eventually(check: Callable[[], bool], what: str, *, within_s: float = 30.0) -> None:
    """Wait, bounded, until a check of the outside world holds."""
    deadline = time.monotonic() + within_s
    while not check():
        if time.monotonic() > deadline:
            raise AssertionError(f"no {what} within {within_s} s")
        time.sleep(_LOOK_AGAIN_S)


@contextmanager
def running(folder: Path, *arguments: str, **options: Any) -> Iterator[Up]:
    """Run a platform for the length of a block; nothing of it is left afterwards."""
    up = Up(folder, *arguments, **options)
    try:
        yield up.start()
    finally:
        try:
            up.stop()
        finally:
            up.kill_parts()
            shutil.rmtree(DataFolder.at(up.data).run, ignore_errors=True)
