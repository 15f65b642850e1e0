"""Resolve `requirements.lock` anew from every `pyproject.toml`: universal, hashed, no host."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OWN = ("towpath", "towpath-server", "towpath-runtimes", "towpath-gateway", "towpath-workspace")
MANIFESTS = ("sdks/python", "runtimes", "control")


def main() -> int:
    """Run the resolver; pins that stand are kept."""
    command = [
        str(ROOT / ".build/uv/bin/uv"), "pip", "compile", "-q", "--universal", "--generate-hashes",
        "--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links",
        "--python-version", "3.11", "--all-extras", "--group", "pyproject.toml:dev",
        "-o", "requirements.lock",
    ]  # fmt: skip
    for name in OWN:
        command += ["--no-emit-package", name]
    command += [f"{folder}/pyproject.toml" for folder in MANIFESTS]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
