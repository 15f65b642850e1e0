"""Which build this is: a version, and a digest of the files that are installed."""

import hashlib
from pathlib import Path

HERE = Path(__file__).resolve().parents[1]
_READ = (".py", ".yaml", ".yml", ".json")
_SHOWN = 12


def stamp(folder: Path = HERE) -> str:
    """Return a short digest of a package's files, which changes whenever one of them does."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.suffix in _READ and path.is_file():
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:_SHOWN]


def stamp_of_program(path: Path) -> str:
    """
    Return a short digest of a program's file.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:_SHOWN]
