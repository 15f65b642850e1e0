"""The platform is replaced by another build while it serves: nothing fails, models go on, all is booked."""

import json
import os
import re
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import gateway_program
import httpx2
import ledger
import psutil
import pytest
import towpath_up
from fake_upstream import FakeUpstream
from journey import Journey, is_ready
from steady_load import SteadyLoad
from towpath_up import ROOT, Up, eventually

GUIDE = (ROOT / "docs" / "guides" / "upgrading.md").read_text(encoding="utf-8")
CALLS = 10_000
# The model that waits in the middle of its answers, and the gate that lets it go on.
GATE = f"held-{secrets.token_hex(4)}"


class Installed:
    """What `pip install` would leave: a package and a gateway, replaced in place by another build."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.package = folder / "package"
        self.program = folder / "bin" / "towpath-gateway"
        self.program.parent.mkdir(parents=True)
        self.install("0.1.0")

    def install(self, version: str) -> None:
        """Put a build of this version in the place of what is there."""
        new = self.folder / version
        shutil.copytree(ROOT / "control" / "src" / "towpath_server", new / "towpath_server")
        about = new / "towpath_server" / "__init__.py"
        about.write_text(about.read_text().replace("0.1.0", version))
        link = self.folder / "new"
        link.symlink_to(new)
        link.replace(self.package)
        self.put(gateway_program.find().read_bytes() + version.encode())

    def break_gateway(self) -> None:
        """Put a gateway there that says what it is and cannot start."""
        real = gateway_program.find()
        said = (
            f"case $1 in formats|validate) exec {real} $1;; esac; echo the disk is gone >&2; exit 1"
        )
        self.put(f"#!/bin/sh\n{said}\n".encode())

    def break_control(self) -> None:
        """Put a control plane there that says what it is and cannot start."""
        self.install("0.3.0")
        main = self.package / "towpath_server" / "main.py"
        broken = 'import sys\nif "serve" in sys.argv:\n    raise SystemExit("the disk is gone")\n'
        main.write_text(
            main.read_text().replace("import asyncio\n", f"{broken}import asyncio\n", 1)
        )

    def put(self, gateway: bytes) -> None:
        """Put a gateway in the place of the one that is there."""
        beside = self.program.with_name("new")
        beside.write_bytes(gateway)
        beside.chmod(0o755)
        beside.replace(self.program)

    @property
    def environment(self) -> dict[str, str]:
        """Let the platform run from here."""
        return {
            "PYTHONPATH": str(self.package),
            "TOWPATH_GATEWAY_BIN": str(self.program),
            # The former gateway ends when its idle connections have.
            "TOWPATH_GATEWAY_HEADER_TIMEOUT_MS": "5000",
        }


def upgrade(up: Up, installed: Installed, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `towpath upgrade` of what is installed now."""
    return subprocess.run(
        [
            Path(sys.executable).with_name("towpath-server"),
            *("upgrade", "--data", str(up.data), *arguments),
        ],
        env={**os.environ, **installed.environment},  # noqa: TID251 (the child needs PATH)
        cwd=up.folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def installed(tmp_path: Path) -> Installed:
    return Installed(tmp_path / "installed")


@pytest.fixture
def up(tmp_path: Path, installed: Installed) -> Iterator[Up]:
    with towpath_up.running(tmp_path / "up", environment=installed.environment) as running:
        yield running


@pytest.fixture
def journey(up: Up, upstream: FakeUpstream, tmp_path: Path) -> Journey:
    """A real model that serves, and two endpoints on the scripted upstream."""
    folder = tmp_path / "model-folder"
    folder.mkdir()
    journey = Journey(up, folder)
    journey.write(access={"visibility": "project"})
    deployed = journey.cli("deploy")
    assert deployed.returncode == 0, deployed.stdout + deployed.stderr
    journey.until(is_ready, "model")
    upstream.script("quick", tokens=4)
    with up.api() as api:
        for name, model in (("quick", "quick"), ("held", GATE)):
            target = {"url": upstream.base_url, "dialect": "openai", "model": model}
            endpoint = {
                "name": name,
                "environment": "sandbox",
                "project": "care/mood",
                "targets": [{"static": target, "weight": 1}],
                "access": {"visibility": "project"},
                # On a busy machine, an upgrade takes as long as calls usually may.
                "timeouts": {"first_byte": "5m", "silence": "5m"},
            }
            answer = api.post("/endpoints", json=endpoint)
            assert answer.status_code == 201, answer.text
            if name == "held":
                gates = {"token:2": model, "end": model}
                upstream.script(model, tokens=6, gates=gates)
    return journey


def test_an_upgrade_under_load_fails_nothing_and_keeps_the_models(
    journey: Journey, installed: Installed, upstream: FakeUpstream
) -> None:
    up = journey.up
    models = {process.pid for process in journey.models()}
    before = (up.process.pid, up.pid("control"), up.pid("gateway"))
    load = SteadyLoad(up, journey.key)
    installed.install("0.2.0")
    commands = [line.split()[1:] for line in re.findall(r"^\$ towpath (.*)$", GUIDE, re.MULTILINE)]
    shown = upgrade(up, installed, *commands[0])
    check = upgrade(up, installed, "--check", "--json")
    kinds = (load.kept, load.kept, load.fresh, load.streams)
    with load.running(*kinds, load.predictions, load.inferences, load.writes):
        eventually(lambda: load.whole() > CALLS // 20, "load", within_s=60)
        waiting = [load.waits("held", stream=stream) for stream in (True, False)]
        eventually(
            lambda: sum(bool(seen["waiting_at"]) for seen in upstream.requests(GATE)) == 2,
            "two calls",
        )
        done = upgrade(up, installed, *commands[1])
        after = (up.process.pid, up.pid("control"), up.pid("gateway"))
        old_gateway = psutil.Process(before[2])
        upstream.release(GATE)
        for call in waiting:
            call.join(60)
        load.pause_s = 0
        eventually(lambda: len(load.calls) >= CALLS, "all calls", within_s=120)
    old_gateway.wait(90)
    with up.api() as api:
        records = ledger.of_calls(api, load.calls)

    assert shown.returncode == 0, shown.stderr
    assert "control plane  0.1.0" in shown.stdout
    assert "mood keep running" in shown.stdout
    report = json.loads(check.stdout)
    assert (check.returncode, report["possible"], report["migrations"]) == (0, True, [])
    assert (report["running"]["control"]["version"], report["new"]["control"]["version"]) == (
        "0.1.0",
        "0.2.0",
    )
    assert report["running"]["gateway"]["build"] != report["new"]["gateway"]["build"]
    assert report["models"] == {"known": True, "kept": ["mood"], "restarted": []}
    assert done.returncode == 0, done.stderr
    assert after[0] == before[0]
    assert (after[1] != before[1], after[2] != before[2]) == (True, True)
    assert [call for call in load.calls if not call.whole] == []
    assert [change for change in load.changes if change[0] != 201] == []
    assert {len(found) for found in records.values()} == {1}
    assert ledger.endings(records, load.calls) == {"complete": len(load.calls)}
    assert {process.pid for process in journey.models()} == models


def test_a_gateway_that_cannot_start_is_given_up_and_the_one_before_goes_on(
    up: Up, installed: Installed
) -> None:
    before = up.pid("gateway")
    installed.break_gateway()
    done = upgrade(up, installed)
    after = up.pid("gateway")
    with up.api() as api:
        teams = api.get("/teams").status_code

    assert done.returncode == 1
    assert "the new gateway cannot be started" in done.stderr
    assert "the disk is gone" in done.stderr
    assert "The one before goes on." in done.stderr
    assert (after, teams) == (before, 200)


def test_a_control_plane_that_cannot_start_takes_no_gateway_with_it(
    up: Up, installed: Installed
) -> None:
    before = up.pid("gateway")
    installed.break_control()
    done = upgrade(up, installed)
    after, door = up.pid("gateway"), httpx2.get(f"{up.address}/healthz").status_code
    installed.install("0.4.0")
    with up.api() as api:
        eventually(lambda: api.get("/teams").status_code == 200, "the API", within_s=60)

    assert done.returncode == 1
    assert "the new control plane" in done.stderr
    assert "the disk is gone" in done.stderr
    assert (after, door) == (before, 200)
