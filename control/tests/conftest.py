"""Fixtures: a fresh database on each engine, the application on it, and clients of it."""

import io
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import postgres
import pytest
from databases import SECRET_KEY, Templates
from fastapi import FastAPI
from platform_api import ADMIN_KEY, Api

from towpath_server.api import furnish
from towpath_server.api import routed as routed_app
from towpath_server.core import log
from towpath_server.core.clock import FixedClock
from towpath_server.core.config import LogSettings, Settings
from towpath_server.core.db import Database
from towpath_server.core.seal import Sealer
from towpath_server.core.secret import Secret
from towpath_server.domains.users import service as users


@pytest.fixture(autouse=True)
def logged() -> io.StringIO:
    """The log of a test, as the program writes it."""
    stream = io.StringIO()
    log.configure(LogSettings(level="debug"), stream)
    return stream


@pytest.fixture(scope="session")
def postgresql() -> Iterator[postgres.Postgres]:
    """One server for the session; a test that takes it away starts its own."""
    with postgres.server() as server:
        yield server


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Templates:
    return Templates(tmp_path_factory.mktemp("templates"))


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(datetime(2026, 11, 23, 12, 0, tzinfo=UTC))


@pytest.fixture
def sealer() -> Sealer:
    return Sealer(SECRET_KEY)


@pytest.fixture
async def db(
    engine: str,
    templates: Templates,
    tmp_path: Path,
    clock: FixedClock,
    request: pytest.FixtureRequest,
) -> AsyncIterator[Database]:
    """A fresh, migrated database; a test that names it runs on both engines."""
    if engine == "postgresql":
        templates.postgres = request.getfixturevalue("postgresql")
    async with templates.database(engine, tmp_path / "control", clock) as database:
        yield database


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path, secret_key=SECRET_KEY, admin_key=Secret(ADMIN_KEY))


@pytest.fixture(scope="session")
def routed() -> FastAPI:
    return routed_app()


@pytest.fixture
async def app(db: Database, settings: Settings, routed: FastAPI) -> FastAPI:
    """The application on this test's database: its routes are every test's."""
    async with db.write() as tx:
        await users.ensure_admin_key(tx, settings.admin_key)
    furnish(routed, db, settings)
    return routed


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://towpath.test") as http:
        yield http


@pytest.fixture
def api(client: httpx2.AsyncClient) -> Api:
    """The platform's admin."""
    return Api(client, ADMIN_KEY)
