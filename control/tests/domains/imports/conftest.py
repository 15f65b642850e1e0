"""A team that imports models in a format of a runtime of its own."""

from pathlib import Path

import pytest
import yaml
from fastapi import FastAPI
from imports import ImportWorld
from platform_api import Api

from towpath_server.core.clock import FixedClock
from towpath_server.core.config import Settings
from towpath_server.core.db import Database

RUNTIME = {
    "apiVersion": "towpath.dev/v1alpha1",
    "kind": "Runtime",
    "metadata": {"name": "tiny", "version": "1.0"},
    "spec": {
        "formats": ["tiny"],
        "dialect": "kserve_v2",
        "operations": ["predict"],
        "command": ["{python}", "{model}", "{listen}"],
        "healthPath": "/health",
        "startupProbe": {"periodSeconds": 1, "failureThreshold": 5},
        "readinessProbe": {"periodSeconds": 1, "failureThreshold": 5},
    },
}


@pytest.fixture
def settings(settings: Settings, tmp_path: Path) -> Settings:
    folder = tmp_path / "runtimes"
    folder.mkdir()
    (folder / "tiny.yaml").write_text(yaml.safe_dump(RUNTIME))
    return settings.model_copy(update={"runtimes_dir": folder})


@pytest.fixture
async def world(db: Database, clock: FixedClock, api: Api, app: FastAPI) -> ImportWorld:
    made = ImportWorld(db, clock, api, app.state.facilities)
    await made.prepare()
    return made
