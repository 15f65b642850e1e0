"""
A tiny real model server, for tests of what keeps model servers running.

`python model_server.py --listen unix:/path|127.0.0.1:port [--crash-at-start] [--sick-until FILE] …`
It answers `GET /health` (200, or 503 while a file says so), `GET /crash` (ends at once), `GET /env` (its
environment), and everything else with 404.
"""

# ruff: noqa: T201, TID251 (it is a program of its own)
import argparse
import json
import os
import signal
import socketserver
import sys
from pathlib import Path


class Handler(socketserver.StreamRequestHandler):
    """As much HTTP as this takes: `http.server` would be most of the start of each replica."""

    sick: Path | None = None

    def handle(self) -> None:
        path = self.rfile.readline(1_000).decode().split(" ")[1]
        while self.rfile.readline(10_000).strip():
            pass
        if path == "/crash":
            print("the engine found no tensor called `text`", flush=True)
            os._exit(3)
        if path == "/env":
            self._answer(200, json.dumps(dict(os.environ)).encode())
        elif path == "/health":
            self._answer(503 if self.sick and self.sick.exists() else 200, b"ok")
        else:
            self._answer(404, b"")

    def _answer(self, status: int, body: bytes) -> None:
        head = f"HTTP/1.0 {status} -\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        self.wfile.write(head.encode() + body)


class UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


class PortServer(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    allow_reuse_address = True


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--listen", required=True)
    parser.add_argument("--model", default="")
    parser.add_argument("--name", default="")
    parser.add_argument("--threads", default="")
    parser.add_argument("--sick-while", type=Path)
    parser.add_argument("--crash-while", type=Path)
    parser.add_argument("--deaf", action="store_true")
    parser.add_argument("--stubborn", action="store_true")
    parser.add_argument("--shout", type=int, default=0)
    parser.add_argument("--eat-mib", type=int, default=0)
    given = parser.parse_args()
    # The first process of a namespace is not ended by what it does not handle.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    print(f"starting {given.name}", flush=True)
    for _ in range(given.shout):
        print("x" * 1000, flush=True)
    if given.crash_while and given.crash_while.exists():
        print("cannot load the model: bad magic", flush=True)
        sys.exit(7)
    eaten = bytearray(os.urandom(1024) * 1024 * given.eat_mib)
    if given.stubborn:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if given.deaf:
        signal.pause()
    Handler.sick = given.sick_while
    if given.listen.startswith("unix:"):
        server: socketserver.BaseServer = UnixServer(given.listen.removeprefix("unix:"), Handler)
    else:
        host, _, port = given.listen.rpartition(":")
        server = PortServer((host, int(port)), Handler)
    server.serve_forever()
    del eaten


if __name__ == "__main__":
    main()
