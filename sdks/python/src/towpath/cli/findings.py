"""What is said of a file that was sent: each with its line, and what to do."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from towpath.cli import output
from towpath.cli.manifest import Manifest
from towpath.errors import APIStatusError


def placed(file: Manifest, found: Iterable[Any]) -> Sequence[Mapping[str, str]]:
    """Say where in a file each finding is."""
    return [
        {"where": file.where(one.path), "detail": one.message, "fix": one.fix or ""}
        for one in found
    ]


def warned(file: Manifest, found: Sequence[Any]) -> None:
    """Write what does not stand in the way, and is better put right."""
    if not found:
        return
    count = f"{len(found)} warning{'s' if len(found) > 1 else ''}"
    output.error(count, label="note", findings=placed(file, found))


def refused(file: Manifest, error: APIStatusError, what: str) -> int:
    """Write why a file was refused; return the exit code."""
    count = len(error.findings)
    word = "finding" if count == 1 else "findings"
    output.error(f"{what} ({count} {word})", findings=placed(file, error.findings))
    if error.request_id:
        output.note()
        output.note(f"  {error.request_id}")
    return 1
