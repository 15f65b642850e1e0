"""
Measure the memory that the real model servers take, beside what the platform estimates.

Each server is started on a model of the demo, asked with as much as its context holds (llama.cpp) or
with a batch of 32 texts (ONNX), and its resident memory is read from the kernel before and after.
The table is that of `docs/concepts/fit.md`.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
MODELS = ROOT / ".build" / "artifacts"
SECRET = "a-secret-of-this-measurement-alone-40-chars"
READY_S = 60
CALL_S = 300
CONTEXTS = ((512, 1), (2_048, 1), (4_096, 1), (4_096, 4))


class OnSocket(http.client.HTTPConnection):
    """HTTP over a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("server")
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(CALL_S)
        self.sock.connect(str(self._path))


def ask(path: Path, method: str, route: str, body: Any = None) -> int:
    """Call the server; return the status, 0 while nothing listens."""
    connection = OnSocket(path)
    headers = {"authorization": f"Bearer {SECRET}", "content-type": "application/json"}
    try:
        connection.request(method, route, json.dumps(body) if body else None, headers)
        answer = connection.getresponse()
        answer.read()
    except OSError:
        return 0
    finally:
        connection.close()
    return answer.status


def resident_mib(pid: int) -> int:
    """Return the largest resident memory that a process has had, in MiB."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) // 1024


def measure(
    module: str, model: Path, arguments: list[str], health: str, calls: list[tuple[str, Any]]
) -> tuple[int, int]:
    """Return the resident memory of a server once it has loaded, and after the calls, in MiB."""
    with tempfile.TemporaryDirectory() as folder:
        listen = Path(folder) / "server.sock"
        command = [sys.executable, "-m", module, "--model", str(model), "--name", "model"]
        command += ["--listen", f"unix:{listen}", "--threads", "1", *arguments]
        environment = {**os.environ, "TOWPATH_REPLICA_SECRET": SECRET}
        server = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        try:
            end = time.monotonic() + READY_S
            while ask(listen, "GET", health) != 200:
                if time.monotonic() > end or server.poll() is not None:
                    raise SystemExit(f"{module} did not start on {model}")
                time.sleep(0.1)
            loaded = resident_mib(server.pid)
            for route, body in calls:
                status = ask(listen, "POST", route, body)
                if status != 200:
                    raise SystemExit(f"{module} answered {status} on {route}")
            return loaded, resident_mib(server.pid)
        finally:
            server.terminate()
            server.wait(READY_S)


def main() -> None:
    """Measure all of them and print the tables."""
    print("| context | slots | loaded | after the prompt |\n|---:|---:|---:|---:|")
    for context, slots in CONTEXTS:
        message = {"role": "user", "content": "word " * (context // 2)}
        body = {"messages": [message], "max_tokens": 4}
        arguments = ["--context-length", str(context), "--parallel", str(slots)]
        found = measure(
            "towpath_runtimes.llama_cpp",
            MODELS / "smollm2" / "model",
            arguments,
            "/health",
            [("/v1/chat/completions", body)],
        )
        print(f"| {context} | {slots} | {found[0]} | {found[1]} |", flush=True)
    print("\n| model | loaded | after the batch |\n|---|---:|---:|")
    texts = ["a lovely day " * 40] * 32
    tensor = {"name": "text", "datatype": "BYTES", "shape": [len(texts)], "data": texts}
    for name in ("minilm", "sentiment-classifier"):
        calls = [("/v2/models/model/infer", {"inputs": [tensor]})]
        model = MODELS / name / "model"
        found = measure("towpath_runtimes.onnx", model, [], "/v2/health/ready", calls)
        print(f"| {name} | {found[0]} | {found[1]} |", flush=True)


if __name__ == "__main__":
    main()
