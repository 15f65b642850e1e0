"""Run every fuzz target of `gateway/fuzz`, guided by coverage, for a bounded time each."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FUZZ = ROOT / "gateway" / "fuzz"


def main() -> int:
    """Fuzz each target; stop at the first crash."""
    reader = argparse.ArgumentParser(description=__doc__)
    reader.add_argument("--seconds", type=int, default=60, help="per target")
    seconds = reader.parse_args().seconds
    if not shutil.which("cargo-fuzz"):
        subprocess.run(["cargo", "install", "--locked", "cargo-fuzz"], check=True)
    # libFuzzer's instrumentation is an unstable option of the compiler that is there.
    # Link-time optimisation would take minutes per target and find nothing more.
    env = {**os.environ, "RUSTC_BOOTSTRAP": "1", "CARGO_PROFILE_RELEASE_LTO": "off"}
    for target in sorted(path.stem for path in (FUZZ / "fuzz_targets").glob("*.rs")):
        print(f"{target}: {seconds} s", flush=True)
        corpus = FUZZ / "corpus" / target
        corpus.mkdir(parents=True, exist_ok=True)
        command = [
            "cargo",
            "fuzz",
            "run",
            "--fuzz-dir",
            "gateway/fuzz",
            "--features",
            "libfuzzer",
            # What may be unsafe is checked by the functions; the rest cannot overrun.
            "--sanitizer",
            "none",
            "--codegen-units",
            "16",
            target,
            # What is found is kept beside the seeds, not among them.
            str(corpus),
            str(FUZZ / "seeds" / target),
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
