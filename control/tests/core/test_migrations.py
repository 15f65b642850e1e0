"""Migrations: they agree with the tables, and refuse a database of a later version."""

from pathlib import Path

import pytest
from databases import Templates
from sqlalchemy import text

from towpath_server import migrations
from towpath_server.core.clock import SystemClock
from towpath_server.core.db import Database
from towpath_server.core.seal import Sealer
from towpath_server.migrations import DatabaseNewer, DatabaseOlder


@pytest.mark.parametrize("chain", ["main", "ledger"])
async def test_the_migrations_make_exactly_the_tables(db: Database, chain: str) -> None:
    """Where this fails: `python -m towpath_server.migrations generate`."""
    async with db.schema_change(ledger=chain == "ledger") as connection:
        found = await connection.run_sync(migrations.differences, chain)

    assert list(found) == []


async def test_upgrading_twice_does_nothing(db: Database) -> None:
    assert await migrations.upgrade(db) == []
    await migrations.check(db)


async def test_an_empty_database_is_brought_to_the_head(tmp_path: Path, sealer: Sealer) -> None:
    url = f"sqlite:///{tmp_path}/towpath.db"
    db = await Database.open(url, None, SystemClock(), sealer=sealer)
    with pytest.raises(DatabaseOlder):
        await migrations.check(db)

    done = await migrations.upgrade(db)

    assert [step.rpartition(" ")[0] for step in done] == ["main: empty to", "ledger: empty to"]
    await migrations.check(db)
    await db.close()


@pytest.mark.parametrize("chain", ["main", "ledger"])
async def test_a_later_database_is_refused_and_left_alone(
    chain: str, templates: Templates, tmp_path: Path
) -> None:
    async with templates.database("sqlite", tmp_path) as db:
        async with db.schema_change(ledger=chain == "ledger") as connection:
            await connection.execute(text("UPDATE alembic_version SET version_num = '0999_later'"))

        with pytest.raises(DatabaseNewer, match="0999_later") as refused:
            await migrations.upgrade(db)
        with pytest.raises(DatabaseNewer):
            await migrations.check(db)

    assert "version" in (refused.value.fix or "")
