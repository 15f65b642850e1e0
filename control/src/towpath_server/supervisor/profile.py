"""The CLI's configuration file, where the first start leaves the keys that are shown only once."""

import os
import re
from collections.abc import Mapping
from pathlib import Path

_HEADER = re.compile(r"\s*\[+\s*(?P<name>[^\]]+?)\s*\]+\s*(#.*)?$")


def save(path: Path, sections: Mapping[str, Mapping[str, str]]) -> None:
    """
    Set whole sections of the file, keep all others as they are, readable by its owner alone.

    Raises:
        OSError: The file cannot be written; it is then as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    for name, values in sections.items():
        text = _replaced(text, name, values)
    fresh = path.with_name(path.name + ".new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def _replaced(text: str, name: str, values: Mapping[str, str]) -> str:
    """Return the text with the section `name` holding exactly `values`."""
    kept, skipping = [], False
    for line in text.splitlines():
        if header := _HEADER.match(line):
            skipping = header["name"] == name
        if not skipping:
            kept.append(line)
    while kept and not kept[-1].strip():
        kept.pop()
    section = [f"[{name}]", *(f"{key} = {_quoted(value)}" for key, value in values.items())]
    return "\n".join([*kept, *([""] if kept else []), *section]) + "\n"


def _quoted(value: str) -> str:
    """Write a TOML basic string."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return (
        '"' + "".join(c if c >= " " and c != "\x7f" else f"\\u{ord(c):04x}" for c in escaped) + '"'
    )
