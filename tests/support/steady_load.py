"""Programs of several kinds that call one platform all the time, never ask twice, and count each answer."""

import contextlib
import http.client
import itertools
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from load import Call
from towpath_up import ADMIN_KEY, Up
from tritonclient import grpc
from tritonclient.utils import InferenceServerException

_TIMEOUT_S = 240
_WRITE_PAUSE_S = 0.05


@dataclass
class SteadyLoad:
    """Calls, and what each of them came to; a kind of caller is a method."""

    up: Up
    key: str
    calls: list[Call] = field(default_factory=list)
    changes: list[tuple[int, str]] = field(default_factory=list)
    """What the API answered to each write."""
    pause_s: float = 0.015
    """Between two calls of one caller: what is tested needs some of the machine, too."""
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    _stop: threading.Event = field(default_factory=threading.Event)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def running(self, *kinds: Callable[[], None]) -> Iterator[None]:
        """Run one caller of each kind for the length of a block."""
        threads = [threading.Thread(target=kind, name=kind.__name__) for kind in kinds]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in threads:
                thread.join(_TIMEOUT_S)

    def kept(self) -> None:
        """Plain answers on a connection that is kept as long as the platform keeps it."""
        with contextlib.closing(self._connection()) as connection:
            while not self._stop.wait(self.pause_s):
                self._chat(connection, "quick", stream=False)

    def fresh(self) -> None:
        """Plain answers, each on a connection of its own."""
        while not self._stop.wait(self.pause_s):
            with contextlib.closing(self._connection()) as connection:
                self._chat(connection, "quick", stream=False)

    def streams(self) -> None:
        """Streams on a connection that is kept."""
        with contextlib.closing(self._connection()) as connection:
            while not self._stop.wait(self.pause_s):
                self._chat(connection, "quick", stream=True)

    def predictions(self) -> None:
        """Predictions of the real model."""
        body = {"inputs": ["I hate this, it is awful"]}
        with contextlib.closing(self._connection()) as connection:
            while not self._stop.wait(self.pause_s):
                with self._call(stream=False) as call:
                    text = self._send(connection, call, "/v1/models/mood/predict", body)
                    call.whole = b"negative" in text

    def inferences(self) -> None:
        """The real model over gRPC: HTTP/2, one connection for all calls."""
        address = self.up.address.removeprefix("http://")
        with grpc.InferenceServerClient(address) as client:
            headers = {"authorization": f"Bearer {self.key}"}
            spec = client.get_model_metadata("mood", headers=headers, as_json=True)["inputs"][0]
            values = np.array(["I hate this"], dtype=object).reshape([1] * len(spec["shape"]))
            given = grpc.InferInput(spec["name"], values.shape, spec["datatype"])
            given.set_data_from_numpy(values)
            while not self._stop.wait(self.pause_s):
                with self._call(stream=False) as call:
                    asked = {**headers, "x-request-id": call.id}
                    client.infer("mood", [given], headers=asked)
                    call.status, call.whole = 200, True

    def waits(self, endpoint: str, *, stream: bool) -> threading.Thread:
        """Make one call that takes its time, in a thread of its own."""

        def ask() -> None:
            with contextlib.closing(self._connection()) as connection:
                self._chat(connection, endpoint, stream=stream)

        thread = threading.Thread(target=ask, name=f"waits-{stream}")
        thread.start()
        return thread

    def writes(self) -> None:
        """Changes through the API, which every one of them must take."""
        with contextlib.closing(self._connection()) as connection:
            for number in itertools.count():
                if self._stop.wait(_WRITE_PAUSE_S):
                    return
                body = json.dumps({"name": f"team-{number}"})
                headers = {
                    "authorization": f"Bearer {ADMIN_KEY}",
                    "content-type": "application/json",
                }
                try:
                    connection.request("POST", "/api/v1/teams", body, headers)
                    answer = connection.getresponse()
                    self.changes.append((answer.status, answer.read().decode()))
                except (OSError, http.client.HTTPException) as error:
                    connection.close()
                    self.changes.append((0, repr(error)))

    def whole(self) -> int:
        """How many calls came to their end."""
        return sum(call.whole for call in list(self.calls))

    def _connection(self) -> http.client.HTTPConnection:
        host, _, port = self.up.address.removeprefix("http://").partition(":")
        return http.client.HTTPConnection(host, int(port), timeout=_TIMEOUT_S)

    def _chat(self, connection: http.client.HTTPConnection, endpoint: str, *, stream: bool) -> None:
        body = {
            "model": endpoint,
            "messages": [{"role": "user", "content": "hello"}],
            "stream": stream,
        }
        with self._call(stream=stream) as call:
            text = self._send(connection, call, "/v1/chat/completions", body)
            call.whole = not stream or text.rstrip().endswith(b"data: [DONE]")

    @contextmanager
    def _call(self, *, stream: bool) -> Iterator[Call]:
        with self._lock:
            call = Call(f"steady-{next(self._numbers)}", stream)
            self.calls.append(call)
        try:
            yield call
        except (OSError, http.client.HTTPException, InferenceServerException) as error:
            call.error = repr(error)
        call.whole = call.whole and call.status == 200

    def _send(
        self, connection: http.client.HTTPConnection, call: Call, path: str, body: Any
    ) -> bytes:
        headers = {
            "authorization": f"Bearer {self.key}",
            "content-type": "application/json",
            "x-request-id": call.id,
        }
        try:
            connection.request("POST", path, json.dumps(body), headers)
            answer = connection.getresponse()
            call.status = answer.status
            return answer.read()
        except BaseException:
            connection.close()
            raise
