"""Callers that keep calling, and remember what each of their requests came to."""

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import httpx2

_CALL_TIMEOUT_S = 60.0


@dataclass
class Call:
    """One request, as its caller saw it."""

    id: str
    """The caller's own id, which the record keeps as `client_request_id`."""
    stream: bool
    status: int | None = None
    request_id: str | None = None
    whole: bool = False
    """The answer came to its end, and was no error."""
    error: str | None = None
    began: float = 0.0
    ended: float = 0.0
    """By the monotonic clock."""


@dataclass
class Caller:
    """Sends chat requests to one endpoint, each with an id of its own, never twice."""

    address: str
    key: str
    calls: list[Call] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def call(self, http: httpx2.Client, endpoint: str, *, stream: bool) -> Call:
        """Send one request and read its answer to the end."""
        call = Call(f"call-{id(self):x}-{next(self._numbers)}", stream)
        call.began = time.monotonic()
        with self._changed:
            self.calls.append(call)
        try:
            self._send(http, endpoint, call)
        except httpx2.HTTPError as error:
            call.error = repr(error)
        call.ended = time.monotonic()
        with self._changed:
            self._changed.notify_all()
        return call

    def _send(self, http: httpx2.Client, endpoint: str, call: Call) -> None:
        body = {
            "model": endpoint,
            "messages": [{"role": "user", "content": "hello"}],
            "max_tokens": 6,
            "stream": call.stream,
        }
        headers = {"authorization": f"Bearer {self.key}", "x-request-id": call.id}
        url = f"{self.address}/v1/chat/completions"
        with http.stream("POST", url, json=body, headers=headers) as answer:
            call.status = answer.status_code
            call.request_id = answer.headers.get("x-request-id")
            text = b"".join(answer.iter_raw())
        ended = text.rstrip().endswith(b"data: [DONE]") if call.stream else True
        call.whole = call.status == 200 and ended

    def whole(self) -> int:
        """How many calls came to their end."""
        return sum(call.whole for call in list(self.calls))

    def until(self, reached: Callable[[], bool], *, within_s: float = 60.0) -> None:
        """Wait until so much has happened."""
        with self._changed:
            assert self._changed.wait_for(reached, within_s), "the callers do not come on"

    def in_background(self, endpoint: str, *, stream: bool) -> threading.Thread:
        """Send one request from a thread of its own."""

        def send() -> None:
            with client() as http:
                self.call(http, endpoint, stream=stream)

        thread = threading.Thread(target=send, name=f"call-{endpoint}")
        thread.start()
        return thread

    @contextmanager
    def load(self, endpoint: str, *, callers: int = 4, pause_s: float = 0.0) -> Iterator[None]:
        """Keep several callers calling for the length of a block, plain and streamed in turn."""
        stop = threading.Event()

        def keep_calling(stream: bool) -> None:
            with client() as http:
                while not stop.is_set():
                    call = self.call(http, endpoint, stream=stream)
                    if call.error or call.status != 200:
                        stop.wait(0.02)  # as a client's own retry would; the door may be closed
                    stop.wait(pause_s)

        threads = [
            threading.Thread(target=keep_calling, args=(n % 2 == 0,), name=f"load-{n}")
            for n in range(callers)
        ]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join(_CALL_TIMEOUT_S)


def client() -> httpx2.Client:
    """Make a client that never repeats a request by itself."""
    return httpx2.Client(timeout=_CALL_TIMEOUT_S, transport=httpx2.HTTPTransport(retries=0))
