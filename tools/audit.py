"""Check every locked dependency for known vulnerabilities and for its licence."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / ".venv" / "bin"

NOT_CHECKED = 3
LOCKS = ("requirements.lock", "tests/langchain/packages.lock")

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


def python_vulnerabilities() -> tuple[int, int]:
    """Return how many locked packages have a known flaw, and how many could not be looked up."""
    found = []
    for lock in LOCKS:
        command = [
            ROOT / ".build/uv/bin/uv", "tool", "run", "--no-python-downloads", "pip-audit",
            "--format", "json", "--disable-pip", "--require-hashes", "-r", lock,
        ]  # fmt: skip
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        found += json.loads(done.stdout)["dependencies"]
    unknown = sum("skip_reason" in package for package in found)
    flawed = [package for package in found if package.get("vulns")]
    for package in flawed:
        known = ", ".join(flaw["id"] for flaw in package["vulns"])
        print(f"{package['name']} {package['version']}: {known}")
    return len(flawed), unknown


def cargo_deny(*checks: str) -> subprocess.CompletedProcess[str]:
    """Run some of cargo-deny's checks."""
    command = ["cargo", "deny", "check", "--hide-inclusion-graph", *checks]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def main() -> int:
    """Run all audits; 1: something is wrong, 3: nothing is, but a database could not be reached."""
    if not shutil.which("cargo-deny"):
        subprocess.run(["cargo", "install", "--locked", "cargo-deny"], check=True)
    wrong = python_licences()
    rules = cargo_deny("licenses", "bans", "sources")
    print(rules.stdout.strip() or rules.stderr.strip())
    wrong += rules.returncode
    flawed, unknown = python_vulnerabilities()
    print(f"python vulnerabilities: {flawed} packages")
    advisories = cargo_deny("advisories")
    unreachable = "failed to fetch advisory database" in advisories.stderr
    if advisories.returncode and not unreachable:
        print(advisories.stderr)
        flawed += 1
    if unknown:
        print(f"NOT CHECKED: {unknown} Python packages; the vulnerability database has no answer")
    if unreachable:
        print("NOT CHECKED: the crates; the database of RustSec cannot be reached")
    if wrong or flawed:
        return 1
    return NOT_CHECKED if unknown or unreachable else 0


if __name__ == "__main__":
    sys.exit(main())
