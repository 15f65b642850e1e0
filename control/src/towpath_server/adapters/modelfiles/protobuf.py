"""Walks the fields of a protobuf message where it stands in a file, without a schema or copies."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from towpath_server.adapters.modelfiles import reasons
from towpath_server.adapters.modelfiles.report import Unsound
from towpath_server.adapters.modelfiles.window import Window

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5


class Budget:
    """How many fields may be visited in one file."""

    def __init__(self, fields: int = 5_000_000) -> None:
        self.left = fields

    def spend(self) -> None:
        """Count one."""
        self.left -= 1
        if self.left < 0:
            raise Unsound(reasons.TOO_LARGE, "It has more fields than any model needs.")


class Field(NamedTuple):
    """One field: a number, or where its bytes stand."""

    number: int
    wire: int
    value: int = 0
    start: int = 0
    end: int = 0


@dataclass(frozen=True)
class Message:
    """A message's bytes within a file."""

    window: Window
    start: int
    end: int
    budget: Budget

    @classmethod
    def whole(cls, window: Window) -> "Message":
        """Take a file as one message."""
        return cls(window, 0, window.size, Budget())

    def fields(self) -> Iterator[Field]:
        """
        Walk the fields in order.

        Raises:
            Unsound: They are not the fields of a message.
        """
        at = self.start
        while at < self.end:
            self.budget.spend()
            key, at = self._varint(at)
            number, wire = key >> 3, key & 7
            if number == 0:
                raise Unsound(reasons.MALFORMED, "A field has the number 0.")
            if wire == VARINT:
                value, at = self._varint(at)
                yield Field(number, wire, value)
                continue
            size, at = self._length(wire, at)
            if at + size > self.end:
                raise Unsound(
                    reasons.TRUNCATED, f"A field ends at {at + size}, beyond its message."
                )
            yield Field(number, wire, start=at, end=at + size)
            at += size

    def inner(self, field: Field) -> "Message":
        """Take a field as a message."""
        return Message(self.window, field.start, field.end, self.budget)

    def text(self, field: Field) -> str:
        """Take a field as text."""
        return self.window.at(field.start, field.end - field.start).decode("utf-8", "replace")

    def packed(self, field: Field) -> list[int]:
        """Take a field as numbers, packed or single."""
        if field.wire == VARINT:
            return [field.value]
        found = []
        at = field.start
        while at < field.end:
            self.budget.spend()
            value, at = self._varint(at)
            found.append(value)
        return found

    def _length(self, wire: int, at: int) -> tuple[int, int]:
        if wire == BYTES:
            return self._varint(at)
        if wire in {FIXED64, FIXED32}:
            return 8 if wire == FIXED64 else 4, at
        raise Unsound(reasons.MALFORMED, f"A field has the wire type {wire}.")

    def _varint(self, at: int) -> tuple[int, int]:
        value = shift = 0
        held = self.window.some(at, 10)
        if held and held[0] < 0x80:  # most numbers, and all tags of small fields, are one byte
            return held[0], at + 1
        for one in held:
            at += 1
            value |= (one & 0x7F) << shift
            shift += 7
            if not one & 0x80:
                return value, at
        raise Unsound(reasons.MALFORMED, "A number does not end.")
