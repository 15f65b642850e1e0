"""
A model server that has recorded exchanges, in place of one that cannot be had.

`python replayed_server.py RECORDING ARGUMENT…` is started as the real program is. It answers `GET
/health`, and what was recorded to the requests that were recorded; to another with 422, and what
it came as.
"""

import itertools
import json
import socket
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class Handler(BaseHTTPRequestHandler):
    """Looks a request up."""

    protocol_version = "HTTP/1.1"
    recording: dict[str, Any]
    name: str

    def do_GET(self) -> None:
        self._answer(200 if self.path == "/health" else 404, "text/plain", b"")

    def do_POST(self) -> None:
        came = json.loads(self.rfile.read(int(self.headers["content-length"])))
        for exchange in self.recording["exchanges"] if self.path == self.recording["path"] else ():
            if came == {**exchange["request"], "model": self.name}:
                text = exchange["answer"].replace("NAME", self.name)
                return self._answer(exchange["status"], exchange["type"], text.encode())
        return self._answer(422, "application/json", json.dumps(came).encode())

    def log_message(self, *args: Any) -> None:
        """Say nothing: the platform keeps what a server writes."""

    def _answer(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class OnSocket(ThreadingHTTPServer):
    """Listens on a Unix socket."""

    address_family = socket.AF_UNIX

    def server_bind(self) -> None:
        self.socket.bind(str(self.server_address))

    def get_request(self) -> tuple[socket.socket, Any]:
        return self.socket.accept()[0], ("caller", 0)


def main() -> None:
    """Serve where the arguments say."""
    recording, *arguments = sys.argv[1:]
    given = dict(itertools.pairwise(arguments))
    Handler.recording = json.loads(Path(recording).read_text(encoding="utf-8"))
    Handler.name = given["--served-model-name"]
    if "--uds" in given:
        OnSocket(given["--uds"], Handler).serve_forever()  # pyrefly: ignore[bad-argument-type]
    host = given.get("--hostname") or given["--host"]
    ThreadingHTTPServer((host, int(given["--port"])), Handler).serve_forever()


if __name__ == "__main__":
    main()
