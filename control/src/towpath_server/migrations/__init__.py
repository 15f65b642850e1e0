"""
Migrations, forward only: one chain for the main database, one for the ledger.

While nothing is released there is one migration per chain, generated from the tables
(`python -m towpath_server.migrations generate`).
"""

from collections.abc import Sequence
from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, text

from towpath_server.core.db import LEDGER_SCHEMA, Database, ledger_metadata, metadata
from towpath_server.core.errors import Kind, TowpathError

HERE = Path(__file__).parent
CHAINS: dict[str, MetaData] = {"main": metadata, "ledger": ledger_metadata}

# Any number of ours: control planes that start together on PostgreSQL migrate one after another.
_ADVISORY_LOCK = 7_305_808_869
_LOCK_TIMEOUT_MS = 10_000  # a migration that waits for a busy table gives up rather than block all


class DatabaseNewer(TowpathError):
    """The database was migrated by a later version of the program."""

    code = "database_newer"
    kind = Kind.CONFLICT
    title = "Database newer than the program"


async def upgrade(db: Database) -> list[str]:
    """
    Bring both chains to their heads and return what was done; nothing to do is no work.

    Raises:
        DatabaseNewer: A later version of the program has been here.
    """
    done: list[str] = []
    for chain in CHAINS:
        async with db.schema_change(ledger=chain == "ledger") as connection:
            done += await connection.run_sync(_upgrade, chain)
    return done


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


def script(chain: str) -> ScriptDirectory:
    """Return the migrations of a chain."""
    return ScriptDirectory.from_config(config(chain))


def _upgrade(connection: Connection, chain: str) -> list[str]:
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})"))
        connection.execute(text(f"SET LOCAL lock_timeout = {_LOCK_TIMEOUT_MS}"))
        if chain == "ledger":
            connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {LEDGER_SCHEMA}"))
    current = _known(connection, chain)
    head = script(chain).get_current_head()
    if current == head:
        return []
    command.upgrade(config(chain, connection), "head")
    return [f"{chain}: {current or 'empty'} to {head}"]


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
