"""Run the fault tests at full numbers and keep what they measured in `bench/results/`."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results"

KILLS = "50"
LEDGER_CALLS = "100000"


def main() -> int:
    """Run the tests marked `storm` at their full numbers."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    report = RESULTS / f"storm-{time.strftime('%Y-%m-%d')}.jsonl"
    report.unlink(missing_ok=True)
    env = {
        **os.environ,
        "TOWPATH_TEST_KILLS": KILLS,
        "TOWPATH_TEST_LEDGER_CALLS": LEDGER_CALLS,
        "TOWPATH_TEST_REPORT": str(report),
    }
    command = [sys.executable, "-m", "pytest", "-q", "-m", "storm", "--timeout", "3600", "tests"]
    return subprocess.run(command, cwd=ROOT, env=env, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
