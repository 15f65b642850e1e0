"""Which build this is: a version, and a digest of the files that are installed."""

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parents[1]
_READ = (".py", ".yaml", ".yml", ".json")
_SHOWN = 12
_ASKED_S = 30.0


def stamp(folder: Path = HERE) -> str:
    """Return a short digest of a package's files, which changes whenever one of them does."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.suffix in _READ and path.is_file():
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:_SHOWN]


def of_gateway(program: Path) -> dict[str, Any] | None:
    """Say which gateway a program is and what it reads and writes; none where it does not say."""
    try:
        asked = subprocess.run(  # noqa: S603 (the program that runs, or will be started)
            [program, "formats"], capture_output=True, timeout=_ASKED_S, check=True
        )
        told = json.loads(asked.stdout)
        with program.open("rb") as file:
            return {**told, "build": hashlib.file_digest(file, "sha256").hexdigest()[:_SHOWN]}
    except (OSError, ValueError, TypeError, subprocess.SubprocessError):
        return None
