"""Where the parts' output goes: files that never outgrow their bound and need no reader."""

import contextlib
import os
from pathlib import Path

# Two files of this size per part: days of normal output, and no disk filled by a part gone wild.
MAX_LOG_BYTES = 16 * 1024 * 1024
_COPY_BYTES = 1024 * 1024
TAIL_BYTES = 8 * 1024


def open_log(path: Path) -> int:
    """Open a log for appending; the caller closes the descriptor after the start."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def bound(path: Path, *, max_bytes: int = MAX_LOG_BYTES) -> bool:
    """
    Move a log that is too large to `NAME.1` and empty it in place.

    The writer keeps its descriptor, which appends, so that it goes on at the new end. Lines written
    between copy and emptying are lost: a bounded disk is worth more than they are.
    """
    try:
        if path.stat().st_size <= max_bytes:
            return False
    except FileNotFoundError:
        return False
    former = path.with_name(path.name + ".1")
    with path.open("rb") as source, former.open("wb") as copy:
        os.fchmod(copy.fileno(), 0o600)
        source.seek(-max_bytes, os.SEEK_END)
        left = max_bytes
        while left > 0 and (part := source.read(min(_COPY_BYTES, left))):
            copy.write(part)
            left -= len(part)
    os.truncate(path, 0)
    return True


def tail(path: Path, *, start: int = 0, lines: int = 8) -> list[str]:
    """Read the last lines of a log that were written after offset `start`."""
    with contextlib.suppress(OSError), path.open("rb") as log:
        end = log.seek(0, os.SEEK_END)
        log.seek(max(min(start, end), end - TAIL_BYTES))
        text = log.read().decode(errors="replace")
        return [line for line in text.splitlines() if line.strip()][-lines:]
    return []
