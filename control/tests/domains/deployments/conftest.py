"""A machine on which manifests become processes: the real loop, with a tiny model server."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from fastapi import FastAPI
from machines import SERVER, Machine, Present
from platform_api import Api
from worlds import World

from towpath_server.adapters.facilities import Facilities
from towpath_server.adapters.localhost.spec import Backoff, Limits, Mode
from towpath_server.core.clock import FixedClock
from towpath_server.core.config import Settings
from towpath_server.core.db import Database

RUNTIME: dict[str, Any] = {
    "apiVersion": "towpath.dev/v1alpha1",
    "kind": "Runtime",
    "metadata": {"name": "tiny", "version": "1.0"},
    "spec": {
        "formats": ["tiny"],
        "dialect": "kserve_v2",
        "operations": ["embeddings", "predict"],
        "command": [
            "{python}",
            str(SERVER),
            "--model",
            "{model}",
            "--name",
            "{name}",
            "--listen",
            "{listen}",
        ],
        "listen": "unix",
        "healthPath": "/health",
        "startupProbe": {"periodSeconds": 0.02, "failureThreshold": 500},
        "readinessProbe": {"periodSeconds": 0.05, "failureThreshold": 3},
        "requestFields": {"inputs": {}, "outputs": {}},
        "args": {"threads": {"minimum": 1, "maximum": 4}, "shout": {}, "crash-while": {}},
    },
}


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    folder = tmp_path / "runtimes"
    folder.mkdir()
    (folder / "tiny.yaml").write_text(yaml.safe_dump(RUNTIME))
    return settings.model_copy(update={"runtimes_dir": folder})


@pytest.fixture
async def world(
    db: Database, settings: Settings, clock: FixedClock, api: Api, app: FastAPI
) -> AsyncIterator[World]:
    # Files that tell the tiny server what to do lie outside of what a shut-in process sees.
    backoff = Backoff(0.02, 2.0, 0.1, 60.0)
    limits = Limits(grace_s=5.0, log_bytes=64 << 10, backoff=backoff, isolation=Mode.OFF, gpus=4)
    machine = Machine(settings.data, limits)
    app.state.facilities = replace(app.state.facilities, servers=Present(machine))
    await machine.replicas.start()
    made = World(db, clock, api, machine, Facilities.of(settings))
    await made.prepare()
    yield made
    await machine.restart()  # finds what a failed test has left
    await machine.replicas.stop_all()
