"""What was measured stays in `bench/results/`, with the machine it was measured on."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "results"


def machine() -> dict:
    """Say what the figures were taken on."""
    model = next(
        (line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if line.startswith("model name")),
        platform.processor(),
    )  # fmt: skip
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    return {
        "cpu": model, "cores": os.cpu_count(), "kernel": platform.release(),
        "commit": commit.stdout.strip(), "at": time.strftime("%Y-%m-%d %H:%M"),
    }  # fmt: skip


def keep(name: str, found: dict[str, Any]) -> None:
    """Write the figures of one measurement down, under its name and the day."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}-{time.strftime('%Y-%m-%d')}.json"
    path.write_text(json.dumps({"machine": machine(), **found}) + "\n", encoding="utf-8")
