"""Fresh databases for tests, on both engines, from one migrated template each."""

import asyncio
import itertools
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
from postgres import Postgres

from towpath_server import migrations
from towpath_server.core.clock import Clock, SystemClock
from towpath_server.core.db import LEDGER_SCHEMA, Database, ledger_metadata, metadata
from towpath_server.core.seal import Sealer
from towpath_server.core.secret import Secret
from towpath_server.migrations.__main__ import import_tables

SECRET_KEY = Secret("a-secret-key-for-tests-of-43-characters----")
_numbers = itertools.count(1)


@dataclass
class Templates:
    """Migrated once a session, copied for each test."""

    folder: Path
    postgres: Postgres | None = None
    _ready: set[str] = field(default_factory=set)
    _free: list[str] = field(default_factory=list)
    """Databases of former tests: emptying one is ten times faster than making one."""

    @asynccontextmanager
    async def database(
        self, engine: str, folder: Path, clock: Clock | None = None
    ) -> AsyncIterator[Database]:
        """Open a fresh database of an engine; SQLite's files lie in `folder`."""
        if engine == "sqlite":
            url = await self._sqlite(folder)
            db = await _open(url, clock)
            try:
                yield db
            finally:
                await db.close()
        else:
            name = await self._postgresql()
            db = await _open(self._server.url(name), clock)
            try:
                yield db
            finally:
                await db.close()
                await self._give_back(name)

    @property
    def _server(self) -> Postgres:
        if self.postgres is None:
            raise RuntimeError("no PostgreSQL was started for this test")
        return self.postgres

    async def _sqlite(self, folder: Path) -> str:
        template = self.folder / "template"
        if "sqlite" not in self._ready:
            template.mkdir()
            await _migrate(f"sqlite:///{template}/towpath.db")
            self._ready.add("sqlite")
        await asyncio.to_thread(shutil.copytree, template, folder, dirs_exist_ok=True)
        return f"sqlite:///{folder}/towpath.db"

    async def _postgresql(self) -> str:
        if "postgresql" not in self._ready:
            await self._execute("CREATE DATABASE template_towpath")
            await _migrate(self._server.url("template_towpath"))
            self._ready.add("postgresql")
        if self._free:
            return self._free.pop()
        name = f"test_{next(_numbers)}"
        await self._execute(f"CREATE DATABASE {name} TEMPLATE template_towpath")
        return name

    async def _give_back(self, name: str) -> None:
        if not self._server.running:
            return
        statements = [
            f'DELETE FROM "{table}"' for table in [t.name for t in reversed(metadata.sorted_tables)]
        ]
        statements += [f'DELETE FROM {LEDGER_SCHEMA}."{table}"' for table in ledger_metadata.tables]
        await self._execute(";".join(statements), name)
        self._free.append(name)

    async def _execute(self, statements: str, database: str = "postgres") -> None:
        connection = await asyncpg.connect(self._server.url(database))
        try:
            await connection.execute(statements)
        finally:
            await connection.close()


async def _migrate(url: str) -> None:
    import_tables()
    db = await _open(url, None)
    await migrations.upgrade(db)
    await db.close()


async def _open(url: str, clock: Clock | None) -> Database:
    return await Database.open(
        url, None, clock or SystemClock(), sealer=Sealer(SECRET_KEY), durable=False
    )
