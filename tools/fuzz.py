"""Run every fuzz target of `gateway/fuzz`, guided by coverage, for a bounded time each."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGETS = ROOT / "gateway" / "fuzz" / "fuzz_targets"


def main() -> int:
    """Fuzz each target; stop at the first crash."""
    reader = argparse.ArgumentParser(description=__doc__)
    reader.add_argument("--seconds", type=int, default=60, help="per target")
    seconds = reader.parse_args().seconds
    if not shutil.which("cargo-fuzz"):
        subprocess.run(["cargo", "install", "--locked", "cargo-fuzz"], check=True)
    # libFuzzer's instrumentation is an unstable option of the compiler that is there.
    env = {**os.environ, "RUSTC_BOOTSTRAP": "1"}
    for target in sorted(path.stem for path in TARGETS.glob("*.rs")):
        print(f"{target}: {seconds} s", flush=True)
        command = [
            "cargo",
            "fuzz",
            "run",
            "--fuzz-dir",
            "gateway/fuzz",
            target,
            "--",
            f"-max_total_time={seconds}",
            "-rss_limit_mb=2048",
        ]
        if subprocess.run(command, cwd=ROOT, env=env, check=False).returncode:
            print(f"error: `{target}` crashed; the input is in gateway/fuzz/artifacts/{target}")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
