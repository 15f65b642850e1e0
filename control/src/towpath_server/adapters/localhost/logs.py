"""
Log files of model servers, bounded in size.

A server appends to the file itself, so that it never depends on this process. Here the file is
copied and cut when it has grown; lines written between the two are lost, which a log may.
"""

import os
from pathlib import Path

_COPY_BYTES = 1 << 20  # held in memory at once
_TAIL_BYTES = 256 << 10  # most that is read for a tail: 1,000 long lines


def bound(path: Path, *, max_bytes: int) -> None:
    """Move what was written to `path` aside once it has reached `max_bytes`."""
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        return
    if size < max_bytes:
        return
    former = path.with_name(f"{path.name}.1")
    try:
        with path.open("rb") as source, former.open("wb") as target:
            source.seek(size - max_bytes)
            left = 2 * max_bytes  # the server may write meanwhile, faster than this reads
            while left > 0 and (part := source.read(min(left, _COPY_BYTES))):
                left -= target.write(part)
    finally:
        os.truncate(path, 0)  # bounded even when there was no room for the copy


def tail(path: Path, lines: int) -> list[str]:
    """Return the last lines of the log, at most `lines`."""
    collected: list[str] = []
    for file in (path, path.with_name(f"{path.name}.1")):
        missing = lines - len(collected)
        if missing <= 0:
            break
        collected = _last(file, missing) + collected
    return collected


def _last(path: Path, lines: int) -> list[str]:
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL_BYTES))
            text = file.read(_TAIL_BYTES).decode("utf-8", errors="replace")
    except FileNotFoundError:
        return []
    found = text.splitlines()
    if size > _TAIL_BYTES and len(found) > 1:
        found = found[1:]  # the first one is cut
    return found[-lines:]
