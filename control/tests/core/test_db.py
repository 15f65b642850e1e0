"""The database, on both engines: transactions, translation of what a driver says, hooks."""

import asyncio
from pathlib import Path

import pytest
from databases import Templates
from postgres import server
from sqlalchemy import insert, text

from towpath_server.core import revision
from towpath_server.core.db import Database, Tx, beside_ledger, ledger_metadata
from towpath_server.core.errors import (
    ConcurrentChange,
    DatabaseUnavailable,
    InvalidRequest,
    NotFound,
)
from towpath_server.core.seal import Sealer
from towpath_server.core.urls import engine_url
from towpath_server.domains.teams.tables import teams


async def add_team(tx: Tx, name: str) -> None:
    values = {"id": f"team_{name}", "revision": 1, "created_at_ms": 1, "updated_at_ms": 1}
    await tx.execute(insert(teams).values(**values, name=name, weight=1))


async def names(db: Database) -> list[str]:
    async with db.read() as tx:
        rows = await tx.execute(text("SELECT name FROM teams ORDER BY name"))
        return [row.name for row in rows]


async def test_a_transaction_that_fails_leaves_nothing(db: Database) -> None:
    with pytest.raises(NotFound):
        async with db.write() as tx:
            await add_team(tx, "care")
            raise NotFound("team", "other")

    assert await names(db) == []


async def test_an_io_error_of_the_code_inside_is_not_blamed_on_the_database(
    db: Database,
) -> None:
    with pytest.raises(FileNotFoundError):
        async with db.write() as tx:
            await add_team(tx, "care")
            raise FileNotFoundError("a model file")

    assert await names(db) == []


async def test_a_unique_constraint_is_a_concurrent_change(db: Database) -> None:
    async with db.write() as tx:
        await add_team(tx, "care")

    with pytest.raises(ConcurrentChange):
        async with db.write() as tx:
            await add_team(tx, "care")


async def test_writers_take_turns_and_none_is_lost(db: Database) -> None:
    async def write(number: int) -> None:
        async with db.write() as tx:
            await add_team(tx, f"team-{number:02}")
            await revision.bump(tx, "team", f"team-{number:02}")

    await asyncio.gather(*(write(number) for number in range(20)))

    assert await names(db) == [f"team-{number:02}" for number in range(20)]


async def test_a_reader_sees_one_state(db: Database) -> None:
    async with db.read() as before:
        first = (await before.execute(text("SELECT count(*) FROM teams"))).scalar_one()
        async with db.write() as tx:
            await add_team(tx, "care")
        second = (await before.execute(text("SELECT count(*) FROM teams"))).scalar_one()

    assert (first, second) == (0, 0)
    assert await names(db) == ["care"]


async def test_a_hook_before_the_commit_can_refuse_it(db: Database) -> None:
    async def refuse(tx: Tx) -> None:
        assert tx.changes == [("team", "care")]
        raise InvalidRequest("the gateway would not take it")

    db.before_commit.append(refuse)

    with pytest.raises(InvalidRequest):
        async with db.write() as tx:
            await add_team(tx, "care")
            await revision.bump(tx, "team", "care")

    assert await names(db) == []


async def test_hooks_after_the_commit_hear_the_revision(db: Database) -> None:
    heard: list[int] = []
    db.after_commit.append(heard.append)
    async with db.write() as tx:
        await add_team(tx, "quiet")
    async with db.write() as tx:
        bumped = await revision.bump(tx, "team", "care")

    assert heard == [bumped]


async def test_the_ledger_is_apart(db: Database) -> None:
    table = ledger_metadata.sorted_tables[0].name
    async with db.ledger_write() as tx:
        found = (await tx.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one()

    assert found == 0
    with pytest.raises(Exception, match=table):
        async with db.read() as tx:
            await tx.execute(text(f"SELECT count(*) FROM {table}"))


@pytest.mark.parametrize("engine", ["postgresql"])  # SQLite stores it
async def test_text_that_the_engine_cannot_store_is_a_bad_request(db: Database) -> None:
    with pytest.raises(InvalidRequest):
        async with db.read() as tx:
            await tx.execute(text("SELECT :text"), {"text": "a\x00b"})


async def test_a_database_that_goes_away_and_comes_back(tmp_path: Path, sealer: Sealer) -> None:
    with server() as postgres:
        templates = Templates(tmp_path, postgres)
        async with templates.database("postgresql", tmp_path) as db:
            assert await names(db) == []
            postgres.kill()
            with pytest.raises(DatabaseUnavailable) as gone:
                await names(db)
            with pytest.raises(DatabaseUnavailable):
                async with db.write() as tx:
                    await add_team(tx, "care")
            postgres.start()
            async with db.write() as tx:
                await add_team(tx, "care")
            back = await names(db)

    assert gone.value.retry_after_s
    assert back == ["care"]


async def test_a_connection_that_dies_inside_a_transaction(tmp_path: Path, sealer: Sealer) -> None:
    with server() as postgres:
        templates = Templates(tmp_path, postgres)
        async with templates.database("postgresql", tmp_path) as db:
            with pytest.raises(DatabaseUnavailable):
                async with db.write() as tx:
                    await add_team(tx, "care")
                    postgres.kill()
                    await add_team(tx, "triage")
            postgres.start()
            found = await names(db)

    assert found == []


async def test_a_full_disk_is_said_to_be_full(tmp_path: Path, templates: Templates) -> None:
    async with templates.database("sqlite", tmp_path) as db:
        async with db.write() as tx:
            pages = (await tx.execute(text("PRAGMA page_count"))).scalar_one()
            await tx.execute(text(f"PRAGMA max_page_count = {pages}"))
        with pytest.raises(DatabaseUnavailable, match="full"):
            async with db.write() as tx:
                for number in range(2_000):
                    await add_team(tx, f"team-{number}-{'x' * 50}")
        found = await names(db)

    assert found == []


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("sqlite:///a/towpath.db", "sqlite+aiosqlite:///a/towpath.db"),
        ("postgresql://u:p@h/d", "postgresql+asyncpg://u:p@h/d"),
        ("postgres://u@h/d", "postgresql+asyncpg://u@h/d"),
    ],
)
def test_plain_urls_name_the_driver(url: str, expected: str) -> None:
    assert engine_url(url) == expected


def test_another_engine_is_refused_with_what_would_be_valid() -> None:
    with pytest.raises(InvalidRequest) as refused:
        engine_url("mysql://root@localhost/towpath")

    assert "postgresql://" in (refused.value.fix or "")


def test_the_ledger_lies_beside_sqlite_and_inside_postgresql() -> None:
    assert beside_ledger("sqlite:////data/control/towpath.db") == "sqlite:////data/control/usage.db"
    assert beside_ledger("postgresql://h/d") == "postgresql://h/d"
