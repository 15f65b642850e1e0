"""
Log files of model servers, bounded in size, and when their lines were written.

A server appends to the file itself, so that it never depends on this process. Here the file is
copied and cut when it has grown; lines written between the two are lost, which a log may. A second
file notes from time to time how long the log was: `POSITION MILLISECONDS` a line, where a position
counts all bytes ever written and kept. Its first line says where the present file begins.
"""

import bisect
import contextlib
import os
from dataclasses import dataclass, field
from pathlib import Path

from towpath_server.adapters.compute import MAX_LOG_LINES, LogLine, LogPart

_COPY_BYTES = 1 << 20  # held in memory at once
_TAIL_BYTES = 256 << 10  # most that is read for a tail: 1,000 long lines
_READ_BYTES = 1 << 20  # most that is read at once of what came later
_LINE_BYTES = 64 << 10  # a line that is longer is given in parts
_MARKS = 2_000  # kept of one log; half of them go when there are more
_MARK_EVERY_MS = 500


@dataclass
class Marks:
    """When a log was how long."""

    start: int = 0
    """Position at which the present file begins."""
    positions: list[int] = field(default_factory=list)
    times: list[int] = field(default_factory=list)

    @classmethod
    def load(cls, path: Path) -> "Marks":
        """Read what was noted; nothing, where that cannot be read."""
        made = cls()
        with contextlib.suppress(OSError, ValueError):
            first, *rest = beside(path).read_text(encoding="ascii").splitlines()
            made.start = int(first)
            for line in rest:
                position, _, at_ms = line.partition(" ")
                made.positions.append(int(position))
                made.times.append(int(at_ms))
        return made

    def save(self, path: Path) -> None:
        """Write all of it anew."""
        lines = [str(self.start)]
        lines += [f"{p} {t}" for p, t in zip(self.positions, self.times, strict=True)]
        temporary = beside(path).with_suffix(".new")
        temporary.write_text("\n".join(lines) + "\n", encoding="ascii")
        temporary.replace(beside(path))

    def at(self, position: int) -> int:
        """Return when the byte at a position was written, as far as is known; else 0."""
        index = bisect.bisect_right(self.positions, position)
        if index < len(self.times):
            return self.times[index]
        return self.times[-1] if self.times else 0

    def since(self, at_ms: int) -> int:
        """Return the position of what was written at a time or later."""
        index = bisect.bisect_left(self.times, at_ms)
        return self.positions[index - 1] if index else 0


class Log:
    """One server's log, kept by the one who started it."""

    def __init__(self, path: Path, *, max_bytes: int) -> None:
        self.path = path
        self._max_bytes = max_bytes
        self._marks: Marks | None = None
        self._size = -1

    def look(self, now_ms: int) -> bool:
        """
        Note how long the log is, and move it aside once it is too long; tell whether it has grown.

        Raises:
            OSError: The disk is full.
        """
        try:
            size = self.path.stat().st_size
        except FileNotFoundError:
            return False
        if size == self._size:
            return False
        marks = self._marks = self._marks or Marks.load(self.path)
        self._mark(marks, marks.start + size, now_ms)
        self._size = size
        if size >= self._max_bytes:
            marks.start += _move_aside(self.path, size, self._max_bytes)
            self._size = 0
            oldest = marks.start - 2 * self._max_bytes
            keep = bisect.bisect_left(marks.positions, oldest)
            del marks.positions[:keep], marks.times[:keep]
            marks.save(self.path)
        return True

    def _mark(self, marks: Marks, position: int, now_ms: int) -> None:
        if marks.times and now_ms - marks.times[-1] < _MARK_EVERY_MS:
            marks.positions[-1] = max(position, marks.positions[-1])
            return
        if marks.positions and position <= marks.positions[-1]:
            return
        marks.positions.append(position)
        marks.times.append(now_ms)
        if len(marks.times) > _MARKS:
            del marks.positions[:-1:2], marks.times[:-1:2]
        marks.save(self.path)


def beside(path: Path) -> Path:
    """Return the file that notes when the log was how long."""
    return path.with_name(f"{path.name}.marks")


def former(path: Path) -> Path:
    """Return the file that holds what was moved aside."""
    return path.with_name(f"{path.name}.1")


def _move_aside(path: Path, size: int, max_bytes: int) -> int:
    """Return how many bytes the file had when it was cut."""
    moved = size
    try:
        with path.open("rb") as source, former(path).open("wb") as target:
            skipped = source.seek(max(0, size - max_bytes))
            left = 2 * max_bytes  # the server may write meanwhile, faster than this reads
            while left > 0 and (part := source.read(min(left, _COPY_BYTES))):
                left -= target.write(part)
            moved = skipped + target.tell()
    finally:
        os.truncate(path, 0)  # bounded even when there was no room for the copy
    return moved


def tail(path: Path, lines: int) -> list[str]:
    """Return the last lines of the log, at most `lines`."""
    return [line.text for line in read(path, tail=lines).lines]


def read(
    path: Path, *, cursor: int | None = None, tail: int | None = None, since_ms: int | None = None
) -> LogPart:
    """
    Read lines that are complete; see `Compute.logs`.

    A log that was moved aside meanwhile is read on where it is now; one that was begun anew, or of
    which what comes next is gone, from its oldest line.
    """
    marks = Marks.load(path)
    files = ((former(path), marks.start - _size(former(path))), (path, marks.start))
    end = marks.start + _size(path)
    oldest = min(begin for file, begin in files if _size(file) or file == path)
    from_tail = cursor is None and since_ms is None
    if cursor is not None and cursor <= end:
        begin = max(cursor, oldest)
    elif since_ms is not None:
        begin = max(oldest, marks.since(since_ms))
    else:
        begin = max(oldest, end - _TAIL_BYTES)
    data = _between(files, begin, min(end, begin + _READ_BYTES))
    found = _lines(data, begin, marks, cut=from_tail and begin > oldest, ends=cursor is None)
    if from_tail or (tail is not None and cursor is None):
        most = min(tail or MAX_LOG_LINES, MAX_LOG_LINES)
        positions, lines = found
        return LogPart(lines[-most:], positions[-1] if positions else end)
    positions, lines = found
    count = min(len(lines), MAX_LOG_LINES)
    return LogPart(lines[:count], positions[count - 1] if count else begin)


def _lines(
    data: bytes, begin: int, marks: Marks, *, cut: bool, ends: bool
) -> tuple[list[int], list[LogLine]]:
    """
    Split into lines, each with the position after it.

    Args:
        cut: The first one began before `data`, and is left out.
        ends: The last one is taken though it has no end yet.
    """
    positions: list[int] = []
    lines: list[LogLine] = []
    at = 0
    while at < len(data):
        end = data.find(b"\n", at)
        if end < 0:
            if not ends and len(data) - at < _LINE_BYTES:
                break
            end = len(data) - 1
        if not (cut and at == 0 and end < len(data) - 1):
            text = data[at : end + 1].decode("utf-8", errors="replace").rstrip("\r\n")
            lines.append(LogLine(marks.at(begin + at), text))
            positions.append(begin + end + 1)
        at = end + 1
    return positions, lines


def _between(files: tuple[tuple[Path, int], ...], begin: int, end: int) -> bytes:
    data = b""
    for path, start in files:
        size = _size(path)
        first, last = max(begin, start), min(end, start + size)
        if first >= last:
            continue
        with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
            file.seek(first - start)
            data += file.read(last - first)
    return data


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
