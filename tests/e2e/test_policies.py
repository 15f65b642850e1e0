"""The platform's own policies, on a platform that stands."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from towpath_up import ADMIN_KEY, ROOT, Up

pytestmark = pytest.mark.slow

GUIDE = ROOT / "docs" / "guides" / "policies.md"


def test_every_command_of_the_guide_works_in_its_order(demo: Up, tmp_path: Path) -> None:
    commands = re.findall(r"^\$ (towpath .*)$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE)
    home = {k: v for k, v in os.environ.items() if not k.startswith("TOWPATH_")}  # noqa: TID251
    told = {
        "TOWPATH_ADDRESS": demo.address,
        "TOWPATH_API_KEY": ADMIN_KEY,
        "TOWPATH_CONFIG": str(tmp_path / "config.toml"),
        "NO_COLOR": "1",
        "PATH": f"{ROOT / '.venv' / 'bin'}:{home['PATH']}",
    }

    done = subprocess.run(
        ["bash", "-euc", "\n".join(commands)],
        cwd=ROOT,
        env={**home, **told},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert len(commands) == 9
    assert re.findall(r"^(\d+) cases, 0 failed$", done.stdout, re.MULTILINE)
