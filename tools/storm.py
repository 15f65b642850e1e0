"""Run the fault tests at full numbers and keep what they measured in `bench/results/`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results"

KILLS = "50"
LEDGER_CALLS = "100000"
ACTIVATIONS = "1000"
FIRE_SECONDS = "30"

# Tests of the gateway alone, and how often each is run. The fire burns as long as it is told; the
# end of a budget is a race, and each run is another way through it.
UNDER_FIRE = {
    "limits::a_rate_under_fire_is_its_formula": 1,
    "budgets::concurrent_exhaustion_is_never_over": 20,
}
GATEWAY_TESTS = (
    "cargo", "test", "-q", "--locked", "--profile", "ci", "-p", "towpath-gateway", "--test", "it",
)  # fmt: skip


def holds(test: str) -> bool:
    """Run one of the gateway's tests; print what it said when it failed."""
    env = {**os.environ, "TOWPATH_FIRE_SECONDS": FIRE_SECONDS}
    command = [*GATEWAY_TESTS, "--", "--exact", test]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    # A name that matches nothing ends well, too.
    held = done.returncode == 0 and "1 passed" in done.stdout
    if not held:
        print(done.stdout, done.stderr, sep="\n", file=sys.stderr)
    return held


def under_fire(report: Path) -> bool:
    """Run the gateway's tests of limits and budgets at full numbers; whether all held."""
    held = {test: sum(holds(test) for _ in range(times)) for test, times in UNDER_FIRE.items()}
    with report.open("a", encoding="utf-8") as file:
        for test, times in UNDER_FIRE.items():
            line = {"test": test, "runs": times, "held": held[test], "fire_s": float(FIRE_SECONDS)}
            file.write(json.dumps(line) + "\n")
    return held == UNDER_FIRE


def main() -> int:
    """Run the tests marked `storm`, and the gateway's own under fire, at their full numbers."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    report = RESULTS / f"storm-{time.strftime('%Y-%m-%d')}.jsonl"
    report.unlink(missing_ok=True)
    held = under_fire(report)
    env = {
        **os.environ,
        "TOWPATH_TEST_KILLS": KILLS,
        "TOWPATH_TEST_LEDGER_CALLS": LEDGER_CALLS,
        "TOWPATH_TEST_ACTIVATIONS": ACTIVATIONS,
        "TOWPATH_TEST_REPORT": str(report),
    }
    command = [sys.executable, "-m", "pytest", "-q", "-m", "storm", "--timeout", "3600", "tests"]
    return subprocess.run(command, cwd=ROOT, env=env, check=False).returncode or int(not held)


if __name__ == "__main__":
    sys.exit(main())
