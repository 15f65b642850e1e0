"""One world for a whole module: its tests make what they change, and share the rest."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime

import httpx2
import pytest
import pytest_asyncio
from databases import SECRET_KEY, Templates
from examples import World, build
from platform_api import ADMIN_KEY, Api

from towpath_server.adapters.compute import Capacity
from towpath_server.adapters.localhost.replicas import LocalReplicas
from towpath_server.api import create_app
from towpath_server.core.clock import FixedClock
from towpath_server.core.config import Settings
from towpath_server.core.folder import DataFolder
from towpath_server.core.quota_settings import QuotaSettings, SandboxQuotaDefaults
from towpath_server.core.secret import Secret
from towpath_server.domains.users import service as users


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def shared_engine(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def shared_clock() -> FixedClock:
    return FixedClock(datetime(2026, 11, 23, 12, 0, tzinfo=UTC))


_capacity = LocalReplicas.capacity


async def _large(machine: LocalReplicas) -> Capacity:
    return replace(await _capacity(machine), memory_bytes=1 << 50)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(
    shared_engine: str,
    shared_clock: FixedClock,
    templates: Templates,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> AsyncIterator[World]:
    """Two teams and everybody who may call, on one application."""
    if shared_engine == "postgresql":
        templates.postgres = request.getfixturevalue("postgresql")
    folder = tmp_path_factory.mktemp("world")
    settings = Settings(
        data=folder,
        secret_key=SECRET_KEY,
        admin_key=Secret(ADMIN_KEY),
        # The tests of a module deploy far more than a team tries out.
        quotas=QuotaSettings(sandbox=SandboxQuotaDefaults(replicas=None)),
    )
    for part in DataFolder.at(folder).parts():  # as the supervisor makes it
        part.mkdir(parents=True, exist_ok=True)
    async with AsyncExitStack() as stack:
        # Nothing is started here, and all that the tests of a module declare is to fit.
        patched = stack.enter_context(pytest.MonkeyPatch.context())
        patched.setattr(LocalReplicas, "capacity", _large)
        database = templates.database(shared_engine, folder / "control", shared_clock)
        db = await stack.enter_async_context(database)
        async with db.write() as tx:
            await users.ensure_admin_key(tx, settings.admin_key)
        transport = httpx2.ASGITransport(create_app(db, settings))
        client = httpx2.AsyncClient(transport=transport, base_url="http://towpath.test")
        yield await build(Api(await stack.enter_async_context(client), ADMIN_KEY), db)
