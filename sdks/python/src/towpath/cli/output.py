"""
What a person reads: tables, numbers with units, notes and errors.

Data goes to stdout, everything else to stderr. Colour only repeats what the words say, and is off
when the stream is no terminal or `NO_COLOR` is set.
"""

import json
import math
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TextIO

from towpath.auth import environment
from towpath.errors import APIStatusError, TowpathError

WIDTH = 80
# The last lines of a server that ended say enough; `towpath logs` has the others.
MAX_CAUSE_LINES = 10
_STYLES = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "cyan": "36"}
_SYMBOLS = {"EUR": "€", "USD": "$", "GBP": "£", "CHF": "CHF"}
_GAP = "  "


@dataclass(frozen=True)
class Column:
    """A column; `flexible` gives way when the table is too wide, `right` is for numbers."""

    title: str
    right: bool = False
    flexible: bool = False


def data(text: str) -> None:
    """Write a line of data."""
    sys.stdout.write(text + "\n")


def note(text: str = "") -> None:
    """Write a line that is not data."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def clear() -> None:
    """Empty the terminal, where stdout is one."""
    if sys.stdout.isatty():
        sys.stdout.write("\x1b[2J\x1b[H")


def document(value: Any) -> None:
    """Write the API's own shape."""
    data(json.dumps(value, ensure_ascii=False, indent=2))


def coloured(stream: TextIO) -> bool:
    """Tell whether decoration may be written to a stream."""
    env = environment()
    return stream.isatty() and not env.get("NO_COLOR") and env.get("TERM") != "dumb"


def style(text: str, name: str, stream: TextIO | None = None) -> str:
    """Decorate a text for a stream (stdout by default) that shows it."""
    if not coloured(stream or sys.stdout):
        return text
    return f"\x1b[{_STYLES[name]}m{text}\x1b[0m"


def width() -> int:
    """Return the columns to fill: those of the terminal, or 80."""
    return shutil.get_terminal_size((WIDTH, 24)).columns if sys.stdout.isatty() else WIDTH


def table(columns: Sequence[Column], rows: Sequence[Sequence[str]]) -> None:
    """Write rows under their titles; flexible columns are shortened to the width."""
    cells = [[clean(cell) for cell in row] for row in rows]
    widths = [
        max([len(column.title), *(len(row[at]) for row in cells)])
        for at, column in enumerate(columns)
    ]
    fit(columns, widths, width())
    data(style(_line(columns, [column.title for column in columns], widths), "bold"))
    for row in cells:
        data(_line(columns, row, widths))


def fit(columns: Sequence[Column], widths: list[int], room: int) -> None:
    """Take from the widest flexible column, character by character, until all fit."""
    over = sum(widths) + len(_GAP) * (len(widths) - 1) - room
    for _ in range(over):
        able = [
            at
            for at, column in enumerate(columns)
            if column.flexible and widths[at] > max(len(column.title), 8)
        ]
        if not able:
            return
        widths[max(able, key=lambda at: widths[at])] -= 1


def clean(text: str) -> str:
    """Make a foreign text safe for one line of a terminal: no control characters."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def shortened(text: str, room: int) -> str:
    """Cut a text to a width."""
    return text if len(text) <= room else text[: max(room - 1, 0)] + "…"


def _line(columns: Sequence[Column], cells: Sequence[str], widths: Sequence[int]) -> str:
    written = (
        cell.rjust(room) if column.right else shortened(cell, room).ljust(room)
        for column, cell, room in zip(columns, cells, widths, strict=True)
    )
    return _GAP.join(written).rstrip()


def money(nano: int | None, currency: str | None) -> str:
    """Write an amount; small ones keep the digits that tell them from nothing."""
    if nano is None:
        return "–"
    unit = _SYMBOLS.get(currency or "", currency or "")
    value = nano / 1_000_000_000
    # Two digits that say something: a price of 0.0000014 is not nothing.
    digits = 2 if nano == 0 or value >= 0.01 else 1 - math.floor(math.log10(value))
    text = f"{value:,.{min(digits, 9)}f}"
    if digits > 2:
        text = text.rstrip("0")
    return f"{text} {unit}".rstrip()


def number(value: int | None) -> str:
    """Write a count."""
    return "–" if value is None else f"{value:,}"


def took(milliseconds: float | None) -> str:
    """Write a duration."""
    if milliseconds is None:
        return "–"
    if milliseconds < 1_000:
        return f"{milliseconds:.0f} ms"
    seconds = milliseconds / 1_000
    return f"{seconds:.1f} s" if seconds < 60 else f"{int(seconds // 60)} m {int(seconds % 60)} s"


def ago(moment: Any, now: datetime | None = None) -> str:
    """Write a time: relative when it is recent, the day otherwise."""
    if not isinstance(moment, datetime):
        return "–" if moment is None else str(moment)
    seconds = int(((now or datetime.now(UTC)) - moment).total_seconds())
    if seconds < 0 or seconds >= 7 * 86_400:
        return moment.strftime("%Y-%m-%d")
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size} {unit} ago"
    return "just now" if seconds < 5 else f"{seconds} s ago"


def bytes_size(count: int) -> str:
    """Write a size."""
    for size, unit in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} B"


def error(
    what: str,
    *,
    fix: str | None = None,
    findings: Sequence[Mapping[str, str]] = (),
    label: str = "error",
) -> None:
    """Write an error, or a `note` that is none, in its one form."""
    first, *cause = what.strip().splitlines() or [""]
    colour = "red" if label == "error" else "yellow"
    note(f"{style(f'{label}:', colour, sys.stderr)} {plain(first)}")
    for line in cause[:MAX_CAUSE_LINES]:
        note(f"  {clean(line).strip()}")
    for finding in findings:
        note()
        note(f"  {finding['where']}")
        note(f"    {finding['detail']}")
        if finding.get("fix"):
            note(f"    fix: {finding['fix']}")
    if fix:
        note()
        note(f"{style('fix:', 'cyan', sys.stderr)} {plain(fix)}")


def failed(problem: TowpathError, *, hint: str | None = None) -> None:
    """Write what the SDK raised, the request's id included where there is one."""
    findings: list[Mapping[str, str]] = []
    if isinstance(problem, APIStatusError):
        findings = [
            {"where": one.path or "the request", "detail": one.message, "fix": one.fix or ""}
            for one in problem.findings
        ]
    fix = problem.fix
    if isinstance(problem, APIStatusError) and problem.status == 401 and not fix:
        fix = "use another key: `towpath login`, or TOWPATH_API_KEY"
    said = plain(problem.message)
    findings = [one for one in findings if plain(one["detail"]) != said]
    if hint:
        fix = f"{plain(fix).rstrip('.')}; or {hint}" if fix else hint
    error(problem.message, fix=fix, findings=findings)
    if problem.request_id:
        note(style(f"     {problem.request_id}", "dim", sys.stderr))


def plain(text: str) -> str:
    """Write a sentence as part of a message: one sentence has no capital and no full stop."""
    text = clean(text).strip()
    if text.endswith(".") and ". " not in text:
        text = text[:-1]
    if text[:1].isupper() and text[1:2].islower() and not text.startswith("Towpath"):
        text = text[0].lower() + text[1:]
    return text
