"""Count what a call costs the gateway in instructions and allocations, by function.

Instructions are the same on a busy machine as on a quiet one, so that two builds can be compared where
time cannot. valgrind counts those of the program alone; the kernel's part is `perf`'s business.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from gateways import GATEWAYS, ROOT, Gateway, Place
from kept import keep
from rig import build_tools, rig, upstream

WARM = 300
CALLS = 2_000
# What to name: each with all that it calls.
PARTS = {
    "a call, from its head to its answer's": r"listener::respond::\{\{closure",
    "body read, authorised, admitted": r"pipeline::prepare$",
    "limits and budgets, taken": r"admit::rules::hold$",
    "the OpenAI body": r"OpenAiRequest::read$",
    "pseudonym of the end user": r"Secrets::pseudonym$",
    "sent to the upstream, head of its answer": r"pool::Pool::send::\{\{closure",
    "the upstream's answer": r"answer::Answer::read$",
    "head of our answer, limits shown": r"relay::head$",
    "the journal's slot, opened": r"account::Books::open$",
    "closed: slot, limits, metrics": r"account::Books::close$",
}
ALLOCATIONS = r"mi_(malloc|zalloc|realloc)_aligned$"


def under_valgrind(folder: Path) -> Gateway:
    """Our gateway as usual, with its instructions counted into a file of the folder."""
    ours = GATEWAYS["towpath"]

    def command(place: Place) -> list[str]:
        count = ["valgrind", "--tool=callgrind", "--instr-atstart=no"]
        return [*count, f"--callgrind-out-file={folder}/counted", *(ours.command(place) or [])]

    return dataclasses.replace(ours, command=command, start_limit_s=120)


def control(pid: int, *what: str) -> None:
    """Tell a counted program what to do."""
    subprocess.run(["callgrind_control", *what, str(pid)], check=True, capture_output=True)


def counted(body: str, folder: Path) -> Path:
    """Serve calls of one kind and count what they cost; returns the file of counts."""
    with upstream() as up, rig(under_valgrind(folder), up) as running:
        running.load(body, "-c", "8", "-n", str(WARM), "-d", "60", "-t", "30")
        (pid, *_) = running.pids()
        control(pid, "-i", "on")
        served = running.load(body, "-c", "8", "-n", str(CALLS), "-d", "300", "-t", "60")
        control(pid, "-i", "off")
        control(pid, "-d")
        if served["ok"] < CALLS:
            raise RuntimeError(f"only {served['ok']} of {CALLS} calls were served")
    (found,) = folder.glob("counted.*")
    return found


def figures(file: Path) -> dict[str, object]:
    """Read instructions and allocations per call."""
    annotate = ["callgrind_annotate", "--threshold=100", "--tree=caller"]
    own = subprocess.run([*annotate, file], check=True, capture_output=True, text=True).stdout
    whole = subprocess.run(
        [*annotate, "--inclusive=yes", file], check=True, capture_output=True, text=True
    ).stdout
    (total,) = re.findall(r"^([\d,]+).*PROGRAM TOTALS", own, re.MULTILINE)
    parts: collections.Counter[str] = collections.Counter()
    for name, pattern in PARTS.items():
        for line in re.findall(
            r"^ *([\d,]+) \([^)]*\) +\* +(\S.*?)(?: \[.*)?$", whole, re.MULTILINE
        ):
            if re.search(pattern, line[1]):
                parts[name] = max(parts[name], int(line[0].replace(",", "")))
    allocations = 0
    callers: list[int] = []
    for line in own.splitlines():
        if " < " in line:
            callers.append(
                int((re.search(r"\(([\d,]+)x\)", line) or ["0", "0"])[1].replace(",", ""))
            )
        elif " * " in line:
            if re.search(ALLOCATIONS, re.sub(r" \[.*", "", line)):
                allocations += sum(callers)
            callers = []
    return {
        "instructions": round(int(total.replace(",", "")) / CALLS),
        "allocations": round(allocations / CALLS, 1),
        "parts": {name: round(count / CALLS) for name, count in parts.most_common()},
    }


def main() -> int:
    """Build, count, print and keep it."""
    reader = argparse.ArgumentParser(description=__doc__)
    reader.add_argument("--body", default="plain", help="what is asked: plain, s0, kb50 …")
    options = reader.parse_args()
    build = ["cargo", "build", "-q", "--release", "--locked", "-p", "towpath-gateway"]
    subprocess.run(build, cwd=ROOT, check=True)
    build_tools()
    with tempfile.TemporaryDirectory(prefix="profile-") as folder:
        found = figures(counted(options.body, Path(folder)))
    keep(f"profile-{options.body}", {"body": options.body, "calls": CALLS, **found})
    print(json.dumps(found, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
