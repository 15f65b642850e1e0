"""A project with a key, and a runner whose gateway answers on cue."""

import pytest
from batches import World
from platform_api import Api

from towpath_server.adapters.facilities import Facilities
from towpath_server.core.clock import FixedClock
from towpath_server.core.config import Settings
from towpath_server.core.db import Database


@pytest.fixture
async def world(db: Database, settings: Settings, clock: FixedClock, api: Api) -> World:
    made = World(db, clock, api, Facilities.of(settings))
    await made.prepare()
    return made
