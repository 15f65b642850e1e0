"""`python -m towpath_server.migrations generate`: write the initial migrations from the tables."""

import argparse
import asyncio
import importlib
import importlib.util
import pkgutil
import shutil
import sys
import tempfile

from alembic import command
from sqlalchemy import Connection

from towpath_server.core.clock import SystemClock
from towpath_server.core.db import Database
from towpath_server.core.seal import MIN_KEY_LENGTH, Sealer
from towpath_server.core.secret import Secret
from towpath_server.migrations import CHAINS, HERE, config


def import_tables() -> None:
    """Import every module that declares tables, so that the metadata is whole."""
    for module in ("core.revision", "web.idempotency", "loops.lease", "gatewaylink.tables"):
        importlib.import_module(f"towpath_server.{module}")
    # by name: the layers below the domains may not import them
    domains = importlib.import_module("towpath_server.domains")
    for domain in pkgutil.iter_modules(domains.__path__, f"{domains.__name__}."):
        if importlib.util.find_spec(f"{domain.name}.tables"):
            importlib.import_module(f"{domain.name}.tables")


async def generate() -> None:
    """Write `0001_initial` of each chain afresh."""
    import_tables()
    with tempfile.TemporaryDirectory() as folder:
        sealer = Sealer(Secret("0" * MIN_KEY_LENGTH))
        url = f"sqlite:///{folder}/towpath.db"
        db = await Database.open(url, None, SystemClock(), sealer=sealer)
        for chain in CHAINS:
            async with db.schema_change(ledger=chain == "ledger") as connection:
                await connection.run_sync(_generate, chain)
        await db.close()


def _generate(connection: Connection, chain: str) -> None:
    versions = HERE / "versions" / chain
    shutil.rmtree(versions, ignore_errors=True)
    versions.mkdir(parents=True)
    command.revision(
        config(chain, connection), message="initial", rev_id="0001_initial", autogenerate=True
    )
    written = versions / "0001_initial_initial.py"
    lines = written.read_text().splitlines(keepends=True)
    target = versions / "0001_initial.py"
    target.write_text("".join(line for line in lines if "# ###" not in line))
    written.unlink()
    sys.stdout.write(f"wrote {target}; `make fmt` formats it\n")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m towpath_server.migrations")
    parser.add_argument("command", choices=["generate"])
    parser.parse_args()
    asyncio.run(generate())


if __name__ == "__main__":
    main()
