"""Bounded reading of a file of foreign bytes."""

import os
import struct
from typing import BinaryIO

from towpath_server.adapters.modelfiles import reasons
from towpath_server.adapters.modelfiles.report import Unsound

_BUFFER = 1 << 18  # one read serves many small fields of a header
MAX_PIECE = 1 << 26  # no single field of a header is longer than 64 MiB


class Window:
    """The bytes of a file, read where they are asked for."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.size = file.seek(0, os.SEEK_END)
        self._start = 0
        self._held = b""

    def at(self, offset: int, count: int) -> bytes:
        """
        Return `count` bytes from `offset`.

        Raises:
            Unsound: The file ends before, or the piece is longer than any header needs.
        """
        if count > MAX_PIECE:
            raise Unsound(reasons.TOO_LARGE, f"It announces a field of {count} bytes.")
        if offset < 0 or count < 0 or offset + count > self.size:
            end = offset + count
            raise Unsound(reasons.TRUNCATED, f"It has {self.size} bytes and announces {end}.")
        start = offset - self._start
        if start < 0 or start + count > len(self._held):
            self._file.seek(offset)
            self._start, start = offset, 0
            self._held = self._file.read(max(count, _BUFFER))
        return self._held[start : start + count]

    def some(self, offset: int, most: int) -> bytes:
        """Return what there is from `offset`, at most `most` bytes."""
        start = offset - self._start
        if start >= 0 and start + most <= len(self._held):
            return self._held[start : start + most]
        return self.at(offset, max(0, min(most, self.size - offset)))

    def number(self, offset: int, code: str) -> int:
        """Return a number by its `struct` code, such as `<Q`."""
        return struct.unpack(code, self.at(offset, struct.calcsize(code)))[0]


class Cursor:
    """A place in a window that moves on with what is read."""

    def __init__(self, window: Window, at: int = 0, *, order: str = "<") -> None:
        self.window = window
        self.at = at
        self._order = order

    def take(self, count: int) -> bytes:
        """Read some bytes."""
        found = self.window.at(self.at, count)
        self.at += count
        return found

    def number(self, code: str) -> int:
        """Read a number by its `struct` code without the byte order."""
        found = self.window.number(self.at, self._order + code)
        self.at += struct.calcsize(self._order + code)
        return found
