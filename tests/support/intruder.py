"""
A model server that tries to get out: `python intruder.py --listen unix:/path`.

`GET /health` is 200. Every other path names an attempt, its query the argument; the answer is what
came of it, as JSON: `{"done": …}` or `{"refused": "…"}`.
"""

# ruff: noqa: TID251 (a program of its own)
import argparse
import ctypes
import http.server
import json
import os
import signal
import socket
import socketserver
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

_libc = ctypes.CDLL(None, use_errno=True)
_eaten: list[bytes] = []


def _call(name: str, *arguments: Any) -> str:
    if getattr(_libc, name)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return name


def tcp(port: str) -> str:
    with socket.create_connection(("127.0.0.1", int(port)), timeout=5):
        return "connected"


def out(address: str) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        any_socket.connect((address, 53))
        return "routed"


def unix(path: str) -> str:
    with socket.socket(socket.AF_UNIX) as any_socket:
        any_socket.connect(path)
        return "connected"


def family(number: str) -> str:
    with socket.socket(int(number), socket.SOCK_STREAM):
        return "made"


def read(path: str) -> str:
    place = Path(path)
    return (
        str(sorted(one.name for one in place.iterdir()))
        if place.is_dir()
        else place.read_text()[:1000]
    )


def write(path: str) -> str:
    Path(path, "intruder").write_text("was here")
    return "written"


def eat(mebibytes: str) -> str:
    for _ in range(int(mebibytes)):
        _eaten.append(os.urandom(1 << 10) * 1024)  # noqa: PERF401 (as it is eaten, not after)
    return "eaten"


def fork(most: str) -> int:
    made = 0
    children = []
    try:
        for _ in range(int(most)):
            child = os.fork()
            if child == 0:
                time.sleep(60)
                os._exit(0)
            children.append(child)
            made += 1
    except OSError:
        return made
    finally:
        for child in children:
            os.kill(child, 9)
            os.waitpid(child, 0)
    return made


def burn(seconds: str) -> float:
    """Return the share of a core that was had."""
    began, used = time.monotonic(), time.process_time()
    while time.monotonic() - began < float(seconds):
        pass
    return (time.process_time() - used) / (time.monotonic() - began)


def end(pid: str) -> str:
    os.kill(int(pid), 9)
    return "ended"


def namespace(_: str) -> str:
    return _call("unshare", 0x10000000)


def mount(_: str) -> str:
    return _call("mount", b"none", b"/tmp", b"tmpfs", 0, None)


def trace(pid: str) -> str:
    return _call("ptrace", 16, int(pid), 0, 0)


def status(_: str) -> dict[str, str]:
    lines = Path("/proc/self/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def environment(_: str) -> dict[str, str]:
    return dict(os.environ)


ATTEMPTS: dict[str, Callable[[str], Any]] = {
    one.__name__: one
    for one in (
        tcp, out, unix, family, read, write, eat, fork, burn, end, namespace, mount, trace, status,
        environment,
    )
}  # fmt: skip


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        name, _, argument = self.path.lstrip("/").partition("?")
        answer: dict[str, Any] = {"done": "well"}
        if name != "health":
            try:
                answer = {"done": ATTEMPTS[name](argument)}
            except (OSError, RuntimeError) as error:
                answer = {"refused": f"{type(error).__name__}: {error}"}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def address_string(self) -> str:
        return "caller"

    def log_message(self, *args: object) -> None:
        return


class UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


class PortServer(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--listen", required=True)
    given = parser.parse_args()
    # The first process of a namespace is not ended by what it does not handle.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    server: socketserver.BaseServer
    if given.listen.startswith("unix:"):
        server = UnixServer(given.listen.removeprefix("unix:"), Handler)
    else:
        host, _, port = given.listen.rpartition(":")
        server = PortServer((host, int(port)), Handler)
    threading.Thread(target=server.serve_forever).start()


if __name__ == "__main__":
    main()
