"""Derived from `towpath/streaming.py` by `tools/derive_sync.py`; never edited."""

import json
from collections.abc import Iterator, Callable, Mapping
from types import TracebackType
from typing import Generic, Self, TypeVar

from towpath.errors import APIConnectionError, APIStreamError, of_event
from towpath.model import Model
from towpath.sse import Decoder, Event
from towpath.transport import Response

T = TypeVar("T", bound=Model)


class Stream(Generic[T]):
    """
    Chunks as they arrive; `with` it, so that leaving early also stops the model.

    Attributes:
        headers: Of the answer, names in lower case.
        request_id: Id of the request's row in the log.
        on_comment: Called with what the platform says while a model wakes up.
    """

    def __init__(self, response: Response, kind: type[T], *, last: str | None = None) -> None:
        self.headers: Mapping[str, str] = response.headers
        self.request_id = response.headers.get("x-request-id")
        self.on_comment: Callable[[str], None] | None = None
        self._response = response
        self._kind = kind
        # Type of the event that ends it, where that is not `[DONE]` alone.
        self._last = last
        self._chunks = self._read()

    def __iter__(self) -> Iterator[T]:
        return self._chunks

    def __next__(self) -> T:
        return self._chunks.__next__()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop reading; the platform cancels what is still being made."""
        self._response.close()

    def _read(self) -> Iterator[T]:
        count = 0
        try:
            for event in self._events():
                if event.comment is not None:
                    if self.on_comment is not None:
                        self.on_comment(event.comment)
                    continue
                if event.data == "[DONE]":
                    return
                chunk = self._chunk(event)
                yield chunk
                count += 1
                if self._last is not None and chunk.to_dict().get("type") == self._last:
                    return
        except APIConnectionError as error:
            raise self._cut(count) from error
        finally:
            self._response.close()
        raise self._cut(count)

    def _events(self) -> Iterator[Event]:
        decoder = Decoder()
        for piece in self._response.chunks():
            for event in decoder.feed(piece):
                yield event

    def _chunk(self, event: Event) -> T:
        try:
            data = json.loads(event.data)
        except ValueError as error:
            raise APIStreamError(
                "The stream carries an event that is not JSON.",
                code="invalid_event",
                request_id=self.request_id,
            ) from error
        if event.name == "error" or (isinstance(data, Mapping) and data.get("error") is not None):
            raise of_event(data.get("error", data), self.request_id)
        return self._kind.of(data, self.headers)

    def _cut(self, count: int) -> APIStreamError:
        return APIStreamError(
            f"The stream broke off; the {count} chunks that came are incomplete.",
            code="stream_cut",
            fix="ask again; the log says why it ended: "
            f"`towpath requests show {self.request_id or 'ID'}`",
            request_id=self.request_id,
        )
