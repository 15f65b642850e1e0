"""The CLI's configuration file, where the first start leaves the keys that are shown only once."""

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

DEFAULT = "default"
_HEADER = re.compile(r"\s*\[+\s*(?P<name>[^\]]+?)\s*\]+\s*(#.*)?$")


def place(given: str | None) -> Path:
    """Return where the file is: as `TOWPATH_CONFIG` says, else where the command line looks."""
    home = Path.home() / ".config" / "towpath" / "config.toml"
    return Path(given).expanduser() if given else home


def read(path: Path) -> dict[str, dict[str, str]]:
    """
    Return the profiles by name; none where there is no file.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is no TOML, or not of the form we write.
    """
    if not path.exists():
        return {}
    found = tomllib.loads(path.read_text(encoding="utf-8")).get("profiles", {})
    if not isinstance(found, dict) or not all(isinstance(one, dict) for one in found.values()):
        raise ValueError("`profiles` is not a table of tables")
    return {
        name: {field: value for field, value in one.items() if isinstance(value, str)}
        for name, one in found.items()
    }


def save(path: Path, profiles: Mapping[str, Mapping[str, str]]) -> None:
    """
    Set whole profiles, keep all else in the file as it is, readable by its owner alone.

    Raises:
        OSError: The file cannot be written; it is then as it was.
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    for name, values in profiles.items():
        text = _replaced(text, f"profiles.{name}", values)
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
