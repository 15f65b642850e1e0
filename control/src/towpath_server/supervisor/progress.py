"""What `towpath up` tells the person who waits: what it does, how far it is, how long it took."""

import contextlib
import sys
import time
from typing import TextIO

# Wide enough for the longest name; the details then start in one column.
NAME_WIDTH = 16
DETAIL_WIDTH = 56


def duration(seconds: float) -> str:
    """Write a duration as people read it."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{int(seconds) // 60} m {int(seconds) % 60:02d} s"


class Progress:
    """Lines on standard error: one per finished step; on a terminal the running one in place."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._terminal = self._stream.isatty()
        self._shown = ""
        self._name = ""
        self._since = time.monotonic()

    def begin(self, name: str) -> None:
        """Start timing a step."""
        self._name, self._since, self._shown = name, time.monotonic(), ""
        self.waiting("")

    def waiting(self, detail: str) -> None:
        """Say what the step waits for; repeated on a terminal, once per text elsewhere."""
        if self._terminal:
            took = duration(time.monotonic() - self._since)
            self._write(f"\r\x1b[2K  … {self._name:<{NAME_WIDTH}} {self._fit(detail)} {took:>8}")
        elif detail and detail != self._shown:
            self._write(f"  … {self._name:<{NAME_WIDTH}} {detail}\n")
        self._shown = detail

    def done(self, detail: str = "") -> None:
        """Close the step with its line."""
        took = duration(time.monotonic() - self._since)
        start = "\r\x1b[2K" if self._terminal else ""
        self._write(f"{start}  ✓ {self._name:<{NAME_WIDTH}} {self._fit(detail)} {took:>8}\n")

    def interrupted(self) -> None:
        """Leave the running line, so that what follows starts on its own."""
        if self._terminal:
            self._write("\r\x1b[2K")

    def say(self, text: str) -> None:
        """Write one line beside the steps."""
        self._write(f"  {text}\n")

    def _fit(self, detail: str) -> str:
        if len(detail) > DETAIL_WIDTH:
            detail = detail[: DETAIL_WIDTH - 1] + "…"
        return f"{detail:<{DETAIL_WIDTH}}"

    def _write(self, text: str) -> None:
        # A terminal that went away must not stop the platform.
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)
            self._stream.flush()
