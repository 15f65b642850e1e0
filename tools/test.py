"""Run every check and test of the repository and close with one count over all of them."""

from __future__ import annotations

import argparse
import concurrent.futures
import dataclasses
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / ".venv" / "bin"
LOGS = ROOT / ".build" / "test-logs"

# Longest a suite may take: a hang ends with its log, not with CI's own limit.
SUITE_LIMIT_S = 2_400

# What runs side by side: as many as the smallest machine has cores.
LANES = (("lint", "python"), ("rust", "platform"))

PYTEST = (str(BIN / "python"), "-m", "pytest", "-q", "-p", "no:cacheprovider")


@dataclasses.dataclass(frozen=True)
class Suite:
    """One command whose result counts, and the lane it runs in."""

    name: str
    lane: str
    command: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What a suite's output says of itself."""

    suite: Suite
    passed: int
    failed: int
    skipped: int
    seconds: float


def suites() -> list[Suite]:
    """List all suites; each lane runs in order, `LANES` says which of them run side by side."""
    python = str(BIN / "python")
    ci = ("--profile", "ci", "--locked")
    return [
        Suite("ruff check", "lint", (str(BIN / "ruff"), "check", "-q", ".")),
        Suite("ruff format", "lint", (str(BIN / "ruff"), "format", "-q", "--check", ".")),
        Suite("sizes", "lint", (python, "tools/check_sizes.py")),
        Suite("imports", "lint", (str(BIN / "lint-imports"), "--config", "control/.importlinter")),
        Suite("types", "lint", (str(BIN / "pyrefly"), "check")),
        Suite("cargo fmt", "lint", ("cargo", "fmt", "--check")),
        Suite("generated files", "lint", (python, "tools/gen.py", "--check")),
        Suite("control plane", "python", (*PYTEST, "control/tests")),
        Suite("SDK and CLI", "python", (*PYTEST, "sdks/python/tests")),
        Suite("tools and docs", "python", (*PYTEST, "tools/tests")),
        Suite("clippy", "rust", ("cargo", "clippy", "-q", *ci, "--workspace", "--all-targets")),
        Suite("gateway", "rust", ("cargo", "test", *ci, "--workspace")),
        Suite("model servers", "platform", (*PYTEST, "runtimes/tests")),
        Suite("end to end", "platform", (*PYTEST, "tests")),
    ]


def run(suite: Suite) -> Outcome:
    """Run one suite with its output in a log of its own."""
    log = LOGS / f"{suite.name.replace(' ', '-')}.log"
    began = time.monotonic()
    with log.open("wb") as out:
        child = subprocess.Popen(
            suite.command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
            start_new_session=True, env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"},
        )  # fmt: skip
        try:
            code = child.wait(timeout=SUITE_LIMIT_S)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            out.write(f"\nstopped after {SUITE_LIMIT_S} s\n".encode())
            code = child.wait() or 1
    passed, failed, skipped = count(log.read_text(encoding="utf-8", errors="replace"))
    if code and not failed:
        failed = 1
    if not code and not passed and suite.command[0] != PYTEST[0]:
        passed = 1
    if not code and not passed and not skipped:
        passed, failed = (0, 1) if suite.command[:3] == PYTEST[:3] else (1, 0)
    outcome = Outcome(suite, passed, failed, skipped, time.monotonic() - began)
    mark = "✗" if failed else "✓"
    skips = f", {skipped} skipped" if skipped else ""
    print(
        f"  {mark} {suite.name:<16} {passed} passed, {failed} failed{skips}"
        f"  {outcome.seconds:.0f} s",
        flush=True,
    )
    if failed:
        show(log)
    return outcome


def count(text: str) -> tuple[int, int, int]:
    """Read the closing lines of pytest and cargo test."""
    passed = failed = skipped = 0
    for line in re.findall(r"^test result: .*$", text, re.MULTILINE):
        passed += number(line, "passed")
        failed += number(line, "failed")
        skipped += number(line, "ignored")
    closing = re.findall(
        r"^(?:=+ )?(\d+ (?:passed|failed|skipped|error).*) in [\d.]+s.*$", text, re.MULTILINE
    )
    if closing:
        passed += number(closing[-1], "passed")
        failed += number(closing[-1], "failed") + number(closing[-1], r"errors?")
        skipped += number(closing[-1], "skipped")
    return passed, failed, skipped


def number(line: str, word: str) -> int:
    """Read `3 passed` out of a closing line."""
    found = re.search(rf"(\d+) {word}", line)
    return int(found[1]) if found else 0


def show(log: Path) -> None:
    """Print the end of a failed suite's log."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    print(f"    --- {log.relative_to(ROOT)}, last lines ---")
    print("\n".join(f"    {line}" for line in lines[-80:]), flush=True)


def main() -> int:
    """Run the lanes and print the sum."""
    reader = argparse.ArgumentParser(description=__doc__)
    reader.add_argument("--only", help="a lane or a suite's name")
    only = reader.parse_args().only
    LOGS.mkdir(parents=True, exist_ok=True)
    chosen = [suite for suite in suites() if only in (None, suite.lane, suite.name)]
    beside = [[suite for suite in chosen if suite.lane in lanes] for lanes in LANES]
    with concurrent.futures.ThreadPoolExecutor(len(beside)) as pool:
        done = list(pool.map(lambda lane: [run(suite) for suite in lane], beside))
    outcomes = [outcome for lane in done for outcome in lane]
    failed = sum(outcome.failed for outcome in outcomes)
    print(f"{sum(outcome.passed for outcome in outcomes)} passed, {failed} failed")
    return 1 if failed or not outcomes else 0


if __name__ == "__main__":
    sys.exit(main())
