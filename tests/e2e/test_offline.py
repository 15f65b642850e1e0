"""A machine without network runs the platform: artifacts are prepared once, outside the data folder."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "support" / "without_network.py"


def _may_unshare() -> bool:
    if shutil.which("unshare") is None:
        return False
    return (
        subprocess.run(["unshare", "--net", "true"], check=False, capture_output=True).returncode
        == 0
    )


@pytest.mark.skipif(not _may_unshare(), reason="network namespaces need root")
def test_a_first_and_a_second_start_need_no_network(tmp_path):
    done = subprocess.run(
        ["unshare", "--net", sys.executable, str(SCRIPT), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )

    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout.splitlines()[-1])
    assert said["outside"] == "OSError"
    assert all(said["answers"]), done.stderr
