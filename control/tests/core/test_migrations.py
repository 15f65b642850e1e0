"""Migrations: they agree with the tables, never change, and refuse databases they did not make."""

import asyncio
from pathlib import Path

import pytest
from alembic import command
from databases import SECRET_KEY, Templates
from sqlalchemy import text

from towpath_server import migrations
from towpath_server.core.clock import SystemClock
from towpath_server.core.db import Database
from towpath_server.core.folder import DataFolder
from towpath_server.core.seal import Sealer
from towpath_server.main import EXIT_NOT_STARTABLE, main
from towpath_server.migrations import DatabaseForeign, DatabaseNewer, DatabaseOlder


@pytest.mark.parametrize("chain", ["main", "ledger"])
async def test_the_migrations_make_exactly_the_tables(db: Database, chain: str) -> None:
    """Where this fails: `python -m towpath_server.migrations new NAME`."""
    async with db.schema_change(ledger=chain == "ledger") as connection:
        found = await connection.run_sync(migrations.differences, chain)

    assert list(found) == []


def test_a_migration_that_databases_were_made_with_never_changes() -> None:
    """
    Forward only: what is sealed stays to the byte, and what is new is sealed with its commit.

    Where this fails: put the old text back, and say what else is to change in a further migration;
    for a new one `python -m towpath_server.migrations seal`.
    """
    assert migrations.digests() == migrations.sealed()


async def test_upgrading_twice_does_nothing(db: Database) -> None:
    assert await migrations.upgrade(db) == []
    await migrations.check(db)


async def test_an_empty_database_is_brought_to_the_head(tmp_path: Path, sealer: Sealer) -> None:
    url = f"sqlite:///{tmp_path}/towpath.db"
    db = await Database.open(url, None, SystemClock(), sealer=sealer)
    with pytest.raises(DatabaseOlder):
        await migrations.check(db)
    pending = await migrations.pending(db)

    done = await migrations.upgrade(db)

    assert [step.rpartition(" ")[0] for step in done] == ["main: empty to", "ledger: empty to"]
    assert [chain for chain, *_ in pending[:1]] == ["main"]
    assert {chain for chain, *_ in pending} == {"main", "ledger"}
    assert await migrations.pending(db) == []
    await migrations.check(db)
    await db.close()


REVISIONS = [
    (chain, entry.revision)
    for chain in migrations.CHAINS
    for entry in migrations.script(chain).walk_revisions()
    if not entry.is_head
]


@pytest.mark.parametrize(("chain", "revision"), REVISIONS)
async def test_a_database_of_any_former_revision_is_brought_to_the_head(
    chain: str, revision: str, tmp_path: Path, sealer: Sealer
) -> None:
    db = await Database.open(f"sqlite:///{tmp_path}/towpath.db", None, SystemClock(), sealer=sealer)
    async with db.schema_change(ledger=chain == "ledger") as connection:
        await connection.run_sync(
            lambda bare: command.upgrade(migrations.config(chain, bare), revision)
        )

    done = await migrations.upgrade(db)

    head = migrations.script(chain).get_current_head()
    assert f"{chain}: {revision} to {head}" in done
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


OTHER_BUILDS = {
    "the table `blocks` is missing": "DROP TABLE blocks",
    "`teams.weight` is missing": "ALTER TABLE teams DROP COLUMN weight",
    "`teams.colour` is mandatory there": "ALTER TABLE teams RENAME COLUMN weight TO colour",
    "table admin_keys already exists": "DELETE FROM alembic_version",
    "duplicate column name": "UPDATE alembic_version SET version_num = '0001_initial'",
}


@pytest.mark.parametrize("what", OTHER_BUILDS)
async def test_a_database_of_another_build_is_refused_with_what_is_wrong(
    what: str, templates: Templates, tmp_path: Path
) -> None:
    """A revision's name is no proof: before the first release its migration was rewritten."""
    async with templates.database("sqlite", tmp_path) as db:
        async with db.schema_change() as connection:
            await connection.execute(text(OTHER_BUILDS[what]))

        with pytest.raises(DatabaseForeign) as refused:
            await migrations.upgrade(db)

    assert what in refused.value.detail
    assert "empty data folder" in (refused.value.fix or "")


async def test_tables_and_indexes_that_somebody_added_are_theirs(db: Database) -> None:
    async with db.schema_change() as connection:
        await connection.execute(text("CREATE TABLE ours (id INTEGER NOT NULL)"))
        await connection.execute(text("CREATE INDEX ours_too ON teams (name)"))
    try:
        assert await migrations.upgrade(db) == []
    finally:
        async with db.schema_change() as connection:
            await connection.execute(text("DROP INDEX ours_too"))
            await connection.execute(text("DROP TABLE ours"))


async def test_the_program_says_so_and_does_not_try_again(
    templates: Templates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd
) -> None:
    monkeypatch.setenv("TOWPATH_SECRET_KEY", SECRET_KEY.reveal())
    place = DataFolder.at(tmp_path).database
    async with templates.database("sqlite", place.parent) as db, db.schema_change() as connection:
        await connection.execute(text("ALTER TABLE teams DROP COLUMN weight"))

    code = await asyncio.to_thread(main, ["migrate", "--data", str(tmp_path)])

    said = capfd.readouterr().err
    assert code == EXIT_NOT_STARTABLE
    assert said.startswith("error: The main database says it is at revision `")
    assert "\n\nfix: Start with an empty data folder" in said
