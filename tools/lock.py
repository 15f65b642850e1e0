"""Resolve the lock files anew, the platform's and LangChain's: universal, hashed, no host."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OWN = ("towpath", "towpath-server", "towpath-runtimes", "towpath-gateway", "towpath-workspace")
MANIFESTS = ("sdks/python", "runtimes", "control")


def resolve(lock: str, *arguments: str) -> int:
    """Run the resolver; pins that stand are kept."""
    command = [
        str(ROOT / ".build/uv/bin/uv"), "pip", "compile", "-q", "--universal", "--generate-hashes",
        "--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links",
        "--python-version", "3.11", "-o", lock, *arguments,
    ]  # fmt: skip
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def main() -> int:
    """Resolve both."""
    own = [word for name in OWN for word in ("--no-emit-package", name)]
    manifests = [f"{folder}/pyproject.toml" for folder in MANIFESTS]
    extras = ("--all-extras", "--group", "pyproject.toml:dev")
    return resolve("requirements.lock", *extras, *own, *manifests) or resolve(
        "tests/langchain/packages.lock", "tests/langchain/packages.in"
    )


if __name__ == "__main__":
    sys.exit(main())
