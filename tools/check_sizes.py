"""Hold every file and function to the ceiling; waivers are listed by name and may only shrink."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WAIVERS = ROOT / "tools" / "size_waivers.txt"

MAX_FUNCTION_LINES = 80
MAX_PARAMETERS = 7


def ceiling(path: str) -> int | None:
    """Return the most lines a file may have; `None` for kinds without a limit."""
    test = "/tests/" in path or path.startswith("tests/") or path.endswith("/tests.rs")
    if "/generated/" in path or "/versions/" in path:
        return None
    if path.endswith("conftest.py"):
        return 250
    limits = {
        ".py": 800 if test else 500,
        ".rs": 1_000 if test else 700,
        ".ts": 300,
        ".tsx": 300,
        ".go": 600,
        ".java": 500,
    }
    return limits.get(Path(path).suffix)


def tracked() -> list[str]:
    """List the files that git knows or would take."""
    command = ("git", "ls-files", "--cached", "--others", "--exclude-standard")
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return [line for line in listed.stdout.splitlines() if (ROOT / line).is_file()]


def long_functions(path: str) -> list[str]:
    """Name the Python functions that are too long or take too much."""
    if not path.endswith(".py") or "tests/" in path or ceiling(path) is None:
        return []
    found = []
    for node in ast.walk(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        lines = (node.end_lineno or node.lineno) - node.lineno + 1
        parameters = len(node.args.args) + len(node.args.kwonlyargs)
        if lines > MAX_FUNCTION_LINES:
            found.append(
                f"{path}:{node.lineno}: `{node.name}` is {lines} long, at most {MAX_FUNCTION_LINES}"
            )
        # A constructor's and a public client's keyword arguments are its options object.
        if len(node.args.args) > MAX_PARAMETERS:
            found.append(
                f"{path}:{node.lineno}: `{node.name}` takes {parameters}, at most {MAX_PARAMETERS}"
            )
    return found


def main() -> int:
    """Print every offence, and every waiver that is no longer needed."""
    waivers = {}
    for line in WAIVERS.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            name, size = line.split()
            waivers[name] = int(size)
    offences = []
    for path in tracked():
        limit = ceiling(path)
        if limit is None:
            continue
        lines = len((ROOT / path).read_text(encoding="utf-8", errors="replace").splitlines())
        if lines > waivers.get(path, limit):
            offences.append(
                f"{path}: {lines} lines (at most {waivers.get(path, limit)}); split it by use case"
            )
        if path in waivers and lines <= limit:
            offences.append(f"{path}: needs its waiver no more; delete the line in {WAIVERS.name}")
        offences += long_functions(path)
    print("\n".join(offences), end="\n" if offences else "")
    return 1 if offences else 0


if __name__ == "__main__":
    sys.exit(main())
