"""Check every locked dependency for known vulnerabilities and for its licence."""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / ".venv" / "bin"

# Words that name a licence under which Towpath may ship, in what packages say of themselves.
ALLOWED = (
    "apache", "mit", "bsd", "isc", "mpl", "mozilla", "python software foundation", "psf-2.0", "psf",
    "unlicense", "zlib", "hpnd", "0bsd", "cnri", "public domain",
)  # fmt: skip


def licence(package: importlib.metadata.Distribution) -> str:
    """Return what a distribution says of its licence."""
    about = package.metadata
    classifiers = [
        line.rsplit("::", 1)[1].strip()
        for line in about.get_all("Classifier", [])
        if line.startswith("License ::")
    ]
    expression, text = (
        about.get_all(field, [""])[0] for field in ("License-Expression", "License")
    )
    return expression or " / ".join(classifiers) or text.split("\n", 1)[0]


def python_licences() -> int:
    """Name the installed packages whose licence is not among the allowed ones."""
    wrong = 0
    for package in sorted(
        importlib.metadata.distributions(), key=lambda found: found.metadata["Name"].lower()
    ):
        said = licence(package)
        if not any(word in said.lower() for word in ALLOWED):
            print(
                f"{package.metadata['Name']} {package.version}: licence `{said or 'not stated'}`"
                " is not on the list of tools/audit.py"
            )
            wrong += 1
    print(f"python licences: {wrong} not allowed")
    return wrong


def main() -> int:
    """Run all audits, even after one failed."""
    failed = python_licences()
    uvx = [str(ROOT / ".build/uv/bin/uv"), "tool", "run", "--no-python-downloads"]
    failed += subprocess.run(
        [*uvx, "pip-audit", "--disable-pip", "--require-hashes", "-r", "requirements.lock"],
        cwd=ROOT,
        check=False,
    ).returncode
    if not shutil.which("cargo-deny"):
        subprocess.run(["cargo", "install", "--locked", "cargo-deny"], check=True)
    # Advisories need the RustSec project's database: a site without network keeps a copy of it.
    failed += subprocess.run(
        ["cargo", "deny", "check", "licenses", "bans", "sources"], cwd=ROOT, check=False
    ).returncode
    failed += subprocess.run(
        ["cargo", "deny", "check", "advisories"], cwd=ROOT, check=False
    ).returncode
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
