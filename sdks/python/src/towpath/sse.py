"""Server-sent events out of bytes, as they come. Pure."""

from dataclasses import dataclass

from towpath.errors import APIStreamError

# The longest event; a chunk of a completion is a few hundred bytes.
MAX_EVENT_BYTES = 16 << 20


@dataclass(frozen=True)
class Event:
    """One event, or a comment between events."""

    data: str = ""
    name: str = ""
    comment: str | None = None


class Decoder:
    """Splits a byte stream into events; a line or a character may be cut anywhere."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[str] = []
        self._size = 0
        self._name = ""

    def feed(self, piece: bytes) -> list[Event]:
        """
        Take bytes and return the events that they complete.

        Raises:
            APIStreamError: An event is larger than any stream of ours has.
        """
        found: list[Event] = []
        buffer = self._rest + piece
        start = 0
        while (end := buffer.find(b"\n", start)) >= 0:
            self._line(buffer[start:end].rstrip(b"\r").decode("utf-8", "replace"), found)
            start = end + 1
        self._rest = buffer[start:]
        if len(self._rest) + self._size > MAX_EVENT_BYTES:
            raise APIStreamError(
                f"An event of the stream is larger than {MAX_EVENT_BYTES >> 20} MiB.",
                code="event_too_large",
            )
        return found

    def _line(self, line: str, found: list[Event]) -> None:
        if not line:
            if self._data:
                found.append(Event("\n".join(self._data), self._name))
            self._data, self._size, self._name = [], 0, ""
        elif line.startswith(":"):
            found.append(Event(comment=line[1:].strip()))
        else:
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if field == "data":
                self._data.append(value)
                self._size += len(value)
            elif field == "event":
                self._name = value
