"""
Migrations, forward only: one chain for the main database, one for the ledger.

A migration that databases were made with is never changed again: `SEALED` holds the digest of each,
and a change of the tables is a further migration (`python -m towpath_server.migrations new NAME`).
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, text
from sqlalchemy.exc import OperationalError, ProgrammingError

from towpath_server.core.db import LEDGER_SCHEMA, Database, ledger_metadata, metadata
from towpath_server.core.errors import Kind, TowpathError
from towpath_server.migrations.tables import named, stumbling_blocks

HERE = Path(__file__).parent
SEALED = HERE / "versions" / "sealed.sha256"
"""Digests of the migrations that may not change any more, as `sha256sum` writes them."""
CHAINS: dict[str, MetaData] = {"main": metadata, "ledger": ledger_metadata}

# Any number of ours.
_ADVISORY_LOCK = 7_305_808_869
_LOCK_TIMEOUT_MS = 10_000  # a migration that waits for a busy table gives up rather than block all


class DatabaseNewer(TowpathError):
    """The database was migrated by a later version of the program."""

    code = "database_newer"
    kind = Kind.CONFLICT
    title = "Database newer than the program"


class DatabaseForeign(TowpathError):
    """The database was made by a build that was never released, or changed by hand."""

    code = "database_foreign"
    kind = Kind.CONFLICT
    title = "Database of another build"

    def __init__(self, chain: str, revision: str | None, what: str) -> None:
        super().__init__(
            f"The {chain} database says it is at revision `{revision or 'none'}`, but its tables "
            f"are not those of that revision: {what}. A build that was never released made it, or "
            "it was changed by hand. Nothing was changed.",
            fix="Start with an empty data folder (`--data`) or database (`TOWPATH_DATABASE_URL`), "
            "restore a backup of a released version, or go back to the build that made it.",
        )


async def upgrade(db: Database) -> list[str]:
    """
    Bring both chains to their heads and return what was done; nothing to do is no work.

    A chain that cannot be brought to its head stays as it was.

    Raises:
        DatabaseNewer: A later version of the program has been here.
        DatabaseForeign: The tables are not those that the migrations make.
    """
    done: list[str] = []
    for chain in CHAINS:
        current: str | None = None
        try:
            async with db.schema_change(ledger=chain == "ledger") as connection:
                await connection.run_sync(_claim, chain)
                current = await connection.run_sync(_known, chain)
                done += await connection.run_sync(_upgrade, chain, current)
        except (OperationalError, ProgrammingError) as error:
            # Not the database's own trouble, or it would have other words: a migration met tables
            # that it was not written for.
            raise DatabaseForeign(chain, current, str(error.orig)) from error
    return done


async def pending(db: Database) -> list[tuple[str, str, str]]:
    """
    List what `upgrade` would do, and do nothing: chain, revision and what it is for.

    Raises:
        DatabaseNewer: A later version of the program has been here.
    """
    found: list[tuple[str, str, str]] = []
    for chain in CHAINS:
        async with db.schema_change(ledger=chain == "ledger") as connection:
            current = await connection.run_sync(_known, chain)
        ahead = script(chain).iterate_revisions("head", current or "base")
        found += [(chain, one.revision, one.doc) for one in reversed([*ahead])]
    return found


async def check(db: Database) -> None:
    """
    Refuse a database that this program does not know, and one that is not migrated.

    Raises:
        DatabaseNewer: A later version of the program has been here.
        DatabaseOlder: `towpath-server migrate` has not been run.
    """
    for chain in CHAINS:
        async with db.schema_change(ledger=chain == "ledger") as connection:
            current = await connection.run_sync(_known, chain)
        if current != script(chain).get_current_head():
            raise DatabaseOlder(
                f"The {chain} database is at revision `{current or 'none'}`.",
                fix="Run `towpath-server migrate` first.",
            )


class DatabaseOlder(TowpathError):
    """The database waits to be migrated."""

    code = "database_older"
    kind = Kind.UNAVAILABLE
    title = "Database not migrated"


def differences(connection: Connection, chain: str) -> Sequence[object]:
    """List how the tables in a database differ from those in the code."""
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    return compare_metadata(context, CHAINS[chain])


def config(chain: str, connection: Connection | None = None) -> Config:
    """Return Alembic's configuration of a chain."""
    settings = Config()
    settings.set_main_option("script_location", str(HERE))
    settings.set_main_option("version_locations", str(HERE / "versions" / chain))
    settings.set_main_option("path_separator", "os")
    settings.attributes.update(connection=connection, metadata=CHAINS[chain])
    return settings


def digests() -> dict[str, str]:
    """Return the digest of every migration by its path below `versions`."""
    versions = HERE / "versions"
    return {
        path.relative_to(versions).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(versions.glob("*/[0-9]*.py"))
    }


def sealed() -> dict[str, str]:
    """Return the digest that every sealed migration must have."""
    lines = SEALED.read_text(encoding="utf-8").splitlines()
    return {path: digest for digest, path in (line.split("  ", 1) for line in lines)}


def script(chain: str) -> ScriptDirectory:
    """Return the migrations of a chain."""
    return ScriptDirectory.from_config(config(chain))


def _claim(connection: Connection, chain: str) -> None:
    """Let control planes that start together migrate one after another."""
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})"))
        connection.execute(text(f"SET LOCAL lock_timeout = {_LOCK_TIMEOUT_MS}"))
        if chain == "ledger":
            connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {LEDGER_SCHEMA}"))


def _upgrade(connection: Connection, chain: str, current: str | None) -> list[str]:
    head = script(chain).get_current_head()
    if current != head:
        command.upgrade(config(chain, connection), "head")
    blocks = stumbling_blocks(connection, CHAINS[chain])
    if blocks:
        raise DatabaseForeign(chain, current, named(blocks))
    return [] if current == head else [f"{chain}: {current or 'empty'} to {head}"]


def _known(connection: Connection, chain: str) -> str | None:
    current = MigrationContext.configure(connection).get_current_revision()
    known = {entry.revision for entry in script(chain).walk_revisions()}
    if current is not None and current not in known:
        raise DatabaseNewer(
            f"The {chain} database is at revision `{current}`, which this program does not know: a "
            "later version of Towpath has used it.",
            fix="Start that version again, or restore the backup from before the upgrade.",
        )
    return current
