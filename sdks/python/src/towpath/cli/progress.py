"""What is seen while something takes time: steps with a mark, a name and how long they took."""

import sys
from collections.abc import Callable

from towpath.cli import output
from towpath.types import Condition

MARKS = {"true": ("✓", "green"), "false": ("✗", "red"), "skipped": ("–", "dim")}


class Steps:
    """
    Steps on stderr.

    At a terminal the current one is rewritten in place, with what it waits for; elsewhere each is
    written once, when it is over.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._began = now()
        self._live = output.coloured(sys.stderr)
        self._done: dict[str, str] = {}

    def waiting(self, name: str, what: str) -> None:
        """Say what is being waited for, and for how long already."""
        if self._live:
            since = output.took((self._now() - self._began) * 1000)
            line = f"  … {name:<13} {what}"
            sys.stderr.write(f"\r\x1b[2K{output.shortened(line, 68)}  {since}")
            sys.stderr.flush()

    def done(self, name: str, what: str, mark: str = "true") -> None:
        """Write a finished step, once."""
        if self._done.get(name) == mark:
            return
        self._done[name] = mark
        if self._live:
            sys.stderr.write("\r\x1b[2K")
        sign, colour = MARKS[mark]
        seconds = self._now() - self._began
        self._began = self._now()
        text = output.shortened(output.clean(what), 50)
        output.note(
            f"  {output.style(sign, colour, sys.stderr)} {name:<13} {text:<50} {seconds:>5.1f} s"
        )

    def reached(self, name: str, what: str) -> None:
        """Write how far a step is that has parts, once for each: `step 1 of 2: …`."""
        part = what.partition(":")[0]
        if not self._live and self._done.get(name) != part:
            self._done[name] = part
            output.note(f"  … {name:<13} {output.clean(what)}")

    def clear(self) -> None:
        """Remove the line that is being rewritten."""
        if self._live:
            sys.stderr.write("\r\x1b[2K")
            sys.stderr.flush()

    def condition(self, condition: Condition) -> bool:
        """Write a resource's condition; tell whether it is settled."""
        status = str(condition.status).lower()
        text = (condition.message or condition.reason or "").partition("\n")[0]
        if status not in MARKS:
            if condition.reason == "RollingOut":
                self.reached(condition.type, text)
            self.waiting(condition.type, text)
            return False
        self.done(condition.type, text, status)
        return True
