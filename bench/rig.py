"""Processes of a measurement: generator, upstream and one gateway, pinned, with their CPU and memory.

The gateway has core 0 for itself, generator and upstream share core 1. `same_core` moves all three onto
one core: then no cross-core wake-up is paid and the software path alone is seen.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import certificates
from certificates import Certificates
from gateways import ROOT, Gateway, Place

BIN = ROOT / ".build" / "bench"
TICKS = os.sysconf("SC_CLK_TCK")
START_LIMIT_S = 30
SECRET_KEY = "a-secret-key-for-measurements-of-43-letters-"
LINK_CREDENTIAL = "a-link-credential-for-measurements"
RUN_LIMIT_S = 120

QUESTION = {
    "model": "gpt-4o-mini",
    "messages": [
        {"role": "system", "content": "Answer briefly and in plain English, and say so when you do not know the answer."},
        {"role": "user", "content": "What does a reverse proxy do, and when does a team that uses several model servers want one in front of them?"},
    ],
    "temperature": 0.2,
    "max_tokens": 256,
    "user": "user-1234",
}  # fmt: skip


def build_tools() -> None:
    """Compile generator and upstream where they are missing or older than their source."""
    BIN.mkdir(parents=True, exist_ok=True)
    for name in ("loadgen", "upstream"):
        source, binary = ROOT / "bench/src" / f"{name}.c", BIN / name
        if not binary.exists() or binary.stat().st_mtime < source.stat().st_mtime:
            subprocess.run(
                ["gcc", "-O2", "-Wno-format-truncation", "-o", binary, source, "-lssl", "-lcrypto"],
                check=True,
            )


def free_port() -> int:
    """Ask the system for a port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def cpu_s(pid: int) -> float:
    """CPU seconds of a process, all its threads."""
    with contextlib.suppress(OSError):
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS
    return 0.0


def busy_s() -> float:
    """CPU seconds the whole machine has spent working."""
    fields = [
        int(field)
        for field in Path("/proc/stat").read_text(encoding="utf-8").split("\n", 1)[0].split()[1:]
    ]
    return (fields[0] + fields[1] + fields[2] + fields[5] + fields[6]) / TICKS


def memory_mb(pids: list[int]) -> dict[str, float]:
    """Memory of processes: `own` is theirs alone, `resident` has the mapped journal's pages as well."""
    kib = {"Anonymous:": 0, "Rss:": 0}
    for pid in pids:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8").splitlines():
                name, *rest = line.split()
                if name in kib:
                    kib[name] += int(rest[0])
    return {"own": round(kib["Anonymous:"] / 1024, 1), "resident": round(kib["Rss:"] / 1024, 1)}


def children(pid: int) -> list[int]:
    """List a process and its descendants."""
    found = [pid]
    with contextlib.suppress(OSError):
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split():
            found += children(int(child))
    return found


# Bytes of a prompt, by the name of its body: those of real applications are long.
SIZES = {"kb1": 1_000, "kb50": 50_000, "kb400": 400_000}


class Upstream(NamedTuple):
    """A running upstream; with certificates all speak TLS."""

    port: int
    pid: int
    tls: Certificates | None = None


class Rig:
    """One gateway between a running upstream and the generator."""

    def __init__(self, gateway: Gateway, up: Upstream) -> None:
        self.gateway, self.upstream_pid = gateway, up.pid
        self.scratch = tempfile.TemporaryDirectory(prefix="bench-")
        run = Path(self.scratch.name)
        port = up.port if gateway.name == "direct" else free_port()
        self.place = Place(run, port, up.port, up.tls)
        bodies: dict[str, dict[str, object]] = {
            "plain": {},
            "s0": {"stream": True, "seed": 0},
            "s1": {"stream": True, "seed": 1},
            "s10": {"stream": True, "seed": 10},
        }
        for name, size in SIZES.items():
            # `stream` stands before the prompt, where the upstream finds it without reading all of it.
            bodies[name] = {"messages": [{"role": "user", "content": "lorem " * (size // 6)}]}
        for name, extra in bodies.items():
            (run / f"{name}.json").write_text(
                json.dumps(
                    {"stream": False, **QUESTION, "model": gateway.model, **extra},
                    separators=(",", ":"),
                ),
                encoding="utf-8",
            )
        command = gateway.command(self.place)
        self.process: subprocess.Popen[bytes] | None = None
        if command:
            # Room for every record of a run with shipping off.
            env = {
                **os.environ, "TOWPATH_SECRET_KEY": SECRET_KEY, "TOWPATH_LINK_CREDENTIAL": LINK_CREDENTIAL,
                "TOWPATH_GATEWAY_JOURNAL_MAX_BYTES": str(4 << 30), **gateway.env,
            }  # fmt: skip
            self.log = (run / "out.log").open("w", encoding="utf-8")
            self.process = subprocess.Popen(
                ["taskset", "-c", "0", *command], cwd=run, env=env, stdin=subprocess.DEVNULL,
                stdout=self.log, stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip
        self.await_answer()

    def await_answer(self) -> None:
        """Call until the first answer comes; raise with the gateway's output if none does."""
        deadline = time.monotonic() + self.gateway.start_limit_s
        told = self.place.run / self.gateway.port_file
        while True:
            if told.is_file() and (port := told.read_text(encoding="utf-8").strip()):
                self.place = dataclasses.replace(self.place, port=int(port))
            if self.load("plain", "-c", "1", "-n", "1", "-d", "5", "-t", "4").get("ok") == 1:
                return
            if time.monotonic() > deadline or (self.process and self.process.poll() is not None):
                said = (self.place.run / "out.log").read_text(encoding="utf-8")[-1_500:]
                self.close()
                raise RuntimeError(f"{self.gateway.name} does not answer: {said}")
            time.sleep(0.2)

    def pids(self) -> list[int]:
        """List the gateway's processes."""
        return children(self.process.pid) if self.process else []

    def repin(self, core: int) -> None:
        """Move the running gateway, all its threads."""
        for pid in self.pids():
            subprocess.run(
                ["taskset", "-acp", str(core), str(pid)], stdout=subprocess.DEVNULL, check=False
            )

    def load(self, body: str, *options: str) -> dict:
        """Run the generator once and return its row."""
        command = [
            "taskset",
            "-c",
            "1",
            str(BIN / "loadgen"),
            "-p",
            str(self.place.port),
            "-u",
            self.gateway.path,
            *(["-S"] if self.place.tls else []),
        ]
        for header in self.gateway.headers:
            command += ["-H", header]
        command += ["-b", str(self.place.run / f"{body}.json"), *options]
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=RUN_LIMIT_S, check=True
        )
        return json.loads(done.stdout)

    def measure(self, body: str, *options: str) -> dict:
        """Run the generator with CPU figures: the gateway's, and `noise`, the cores that others used."""

        def reading() -> tuple[float, float, float, float]:
            own = sum(cpu_s(pid) for pid in self.pids())
            return time.monotonic(), busy_s(), own, cpu_s(self.upstream_pid) + sum(os.times()[2:4])

        before = reading()
        row = self.load(body, *options)
        wall, busy, own, rest = (
            after - first for after, first in zip(reading(), before, strict=True)
        )
        row["gateway_cpu_s"] = round(own, 3)
        row["gateway_us_per_request"] = round(own / row["ok"] * 1e6, 1) if row["ok"] else None
        row["noise"] = round(max(0.0, busy - own - rest) / wall, 3)
        return row

    def close(self) -> None:
        """End the gateway and remove its scratch folder."""
        if self.process:
            pids = self.pids()
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(6)
            for pid in pids:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            self.process.wait()
            self.log.close()
        self.scratch.cleanup()


@contextlib.contextmanager
def upstream(*, tls: bool = False) -> Iterator[Upstream]:
    """Run the scripted upstream on core 1."""
    with tempfile.TemporaryDirectory(prefix="bench-upstream-") as folder:
        made = certificates.make(Path(folder)) if tls else None
        port = free_port()
        command = ["taskset", "-c", "1", str(BIN / "upstream"), str(port), "64"]
        process = subprocess.Popen([*command, *([made.chain, made.key] if made else [])])
        try:
            yield Upstream(port, process.pid, made)
        finally:
            process.kill()
            process.wait()


@contextlib.contextmanager
def rig(gateway: Gateway, up: Upstream) -> Iterator[Rig]:
    """Start one gateway and end it."""
    running = Rig(gateway, up)
    try:
        yield running
    finally:
        running.close()
