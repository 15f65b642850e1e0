"""
A stand-in for Towpath that speaks HTTP, for tests: of this library, of the command line, of yours.

```python
with FakeTowpath() as fake:
    fake.answer("GET", "/v1/models", Answer(body={"object": "list", "data": []}))
    client = Towpath(address=fake.address, api_key="tp_sandbox_…")
    assert client.models.list().data == []
    assert fake.calls[0].headers["authorization"].startswith("Bearer ")
```
"""

import json
import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit


@dataclass(frozen=True)
class Answer:
    """
    What the stand-in answers.

    Attributes:
        body: Sent as JSON; text and bytes as they are.
        events: Sent one by one as server-sent events instead of `body`.
        cut: Hang up before the end of the answer.
        silent: Hang up without a byte of an answer.
    """

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    events: Sequence[str] | None = None
    cut: bool = False
    silent: bool = False


@dataclass(frozen=True)
class Call:
    """What came in; header names are in lower case."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    content: bytes

    @property
    def body(self) -> Any:
        """The decoded JSON body."""
        return json.loads(self.content) if self.content else None


NOT_SCRIPTED = Answer(
    404,
    {
        "type": "about:blank",
        "title": "Not found",
        "status": 404,
        "detail": "The stand-in has no answer for this.",
        "code": "not_scripted",
        "fix": "Script it with `FakeTowpath.answer`.",
    },
    {"content-type": "application/problem+json"},
)


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a caller that hung up; everything else is a mistake of this file."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class FakeTowpath:
    """A server on a free port of this machine; answers are scripted by method and path."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._scripts: dict[tuple[str, str], deque[Answer]] = {}
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"

    def answer(self, method: str, path: str, *answers: Answer) -> None:
        """Answer calls with these in turn; the last one stays."""
        self._scripts[method, path] = deque(answers)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _next(self, call: Call) -> Answer:
        with self._lock:
            self.calls.append(call)
            script = self._scripts.get((call.method, call.path))
            if not script:
                return NOT_SCRIPTED
            return script.popleft() if len(script) > 1 else script[0]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        respond = self._next

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Say nothing; the test reads `calls`."""

            def do_GET(self) -> None:
                """Answer from the script."""
                parts = urlsplit(self.path)
                length = int(self.headers.get("content-length") or 0)
                call = Call(
                    self.command,
                    parts.path,
                    dict(parse_qsl(parts.query)),
                    {name.lower(): value for name, value in self.headers.items()},
                    self.rfile.read(length),
                )
                _write(self, respond(call))

        for method in ("POST", "PUT", "PATCH", "DELETE", "HEAD"):
            setattr(Handler, f"do_{method}", Handler.do_GET)
        return Handler


def _write(handler: BaseHTTPRequestHandler, answer: Answer) -> None:
    if answer.silent:
        handler.close_connection = True
        return
    headers = {name.lower(): value for name, value in answer.headers.items()}
    if answer.events is not None:
        _stream(handler, answer, headers)
        return
    content = _encoded(answer.body)
    headers.setdefault("content-type", "application/json")
    handler.send_response(answer.status)
    for name, value in headers.items():
        handler.send_header(name, value)
    if answer.status != 204:
        handler.send_header("content-length", str(len(content) + (64 if answer.cut else 0)))
    handler.end_headers()
    if handler.command != "HEAD" and answer.status != 204:
        handler.wfile.write(content)
    handler.close_connection = handler.close_connection or answer.cut


def _stream(handler: BaseHTTPRequestHandler, answer: Answer, headers: dict[str, str]) -> None:
    headers.setdefault("content-type", "text/event-stream")
    handler.send_response(answer.status)
    for name, value in {**headers, "transfer-encoding": "chunked"}.items():
        handler.send_header(name, value)
    handler.end_headers()
    for event in answer.events or ():
        piece = f"{event}\n\n".encode()
        handler.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
        handler.wfile.flush()
    if answer.cut:
        handler.close_connection = True
    else:
        handler.wfile.write(b"0\r\n\r\n")


def _encoded(body: Any) -> bytes:
    if body is None:
        return b""
    if isinstance(body, bytes):
        return body
    return body.encode() if isinstance(body, str) else json.dumps(body).encode()
