"""The CLI, as a person runs it."""

import os
import subprocess
import sys
from pathlib import Path

from towpath_up import ADMIN_KEY, Up

_LIMIT_S = 180


def towpath(
    up: Up, folder: Path, *arguments: str, key: str = ADMIN_KEY, stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run `towpath` in a folder, as the platform's administrator where nothing else is said."""
    home = {k: v for k, v in os.environ.items() if not k.startswith("TOWPATH_")}  # noqa: TID251
    return subprocess.run(
        [Path(sys.prefix) / "bin" / "towpath", *arguments],
        cwd=folder,
        env={**home, "TOWPATH_ADDRESS": up.address, "TOWPATH_API_KEY": key},
        input=stdin,
        capture_output=True,
        text=True,
        timeout=_LIMIT_S,
        check=False,
    )
