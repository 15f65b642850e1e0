"""Resolve the lock files anew: universal, hashed, no host."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OWN = ("towpath", "towpath-server", "towpath-runtimes", "towpath-gateway", "towpath-workspace")
# What has environments of its own: LangChain and MLflow for tests, other gateways for measuring.
APART = ("tests/langchain", "tests/mlflow", "bench/locks")
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
    """Resolve all of them; the first that fails ends it."""
    own = [word for name in OWN for word in ("--no-emit-package", name)]
    manifests = [f"{folder}/pyproject.toml" for folder in MANIFESTS]
    extras = ("--all-extras", "--group", "pyproject.toml:dev")
    failed = resolve("requirements.lock", *extras, *own, *manifests)
    for wanted in sorted(path for folder in APART for path in (ROOT / folder).glob("*.in")):
        lock = wanted.with_suffix(".lock").relative_to(ROOT)
        failed = failed or resolve(str(lock), str(wanted.relative_to(ROOT)))
    # The server alone: its package's other needs are for what the tests do not use.
    triton = ("--no-deps", "tests/triton/packages.in")
    return failed or resolve("tests/triton/packages.lock", *triton)


if __name__ == "__main__":
    sys.exit(main())
