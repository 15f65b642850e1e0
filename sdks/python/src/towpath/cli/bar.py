"""How far a transfer is: one line on stderr that is rewritten, and one that stays."""

import sys
import threading
from collections.abc import Callable

from towpath.cli import output

# Rewritten at most this often: a person sees no more, and a terminal far away chokes on it.
EVERY_S = 0.1
CELLS = 20


class Bar:
    """
    Counts bytes of a transfer from several threads (`towpath.transfer.Report`).

    At a terminal the line is rewritten in place; elsewhere only the end is written.

    Args:
        moved: `sent` or `received`: what moves the bar, with what was found there already.
    """

    def __init__(self, moved: str, total: int, now: Callable[[], float]) -> None:
        self._moved = moved
        self._total = total
        self._now = now
        self._began = now()
        self._shown = self._began - EVERY_S
        self._live = output.coloured(sys.stderr)
        self._lock = threading.Lock()
        self._counts = {"read": 0, "found": 0, moved: 0}

    def __call__(self, doing: str, path: str, count: int) -> None:
        """Take note."""
        with self._lock:
            self._counts[doing] += count
            now = self._now()
            if self._live and now - self._shown >= EVERY_S:
                self._shown = now
                sys.stderr.write(f"\r\x1b[2K{self._line(path, now)}")
                sys.stderr.flush()

    def clear(self) -> None:
        """Remove the line that is being rewritten."""
        if self._live:
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()

    def end(self) -> None:
        """Write what was moved, and what did not have to be."""
        self.clear()
        moved, found = self._counts[self._moved], self._counts["found"]
        seconds = self._now() - self._began
        rate = f", {output.bytes_size(int(moved / seconds))}/s" if seconds > 0 and moved else ""
        there = f"; {output.bytes_size(found)} were there already" if found else ""
        mark = output.style("✓", "green", sys.stderr)
        what = f"{output.bytes_size(moved)} {self._moved}{rate}{there}"
        output.note(f"  {mark} {what:<64} {seconds:>5.1f} s")

    def _line(self, path: str, now: float) -> str:
        done = self._counts[self._moved] + self._counts["found"]
        what = self._moved
        if not done and self._counts["read"]:
            done, what = self._counts["read"], "read"
        share = min(done / self._total, 1.0) if self._total else 1.0
        full = round(share * CELLS)
        cells = "█" * full + "░" * (CELLS - full)
        rate = output.bytes_size(int(done / max(now - self._began, EVERY_S)))
        size = f"{output.bytes_size(done)} of {output.bytes_size(self._total)} {what}"
        line = f"  {cells} {share:>4.0%}  {size}  {rate}/s  {output.clean(path)}"
        return output.shortened(line, output.WIDTH - 1)
