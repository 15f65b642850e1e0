"""
`python -m towpath_server.migrations new NAME | seal`: for whoever changes tables.

`new` writes what brings a database from the last migration to the tables in the code; `seal` notes
the digests of migrations that are new, once they are formatted and reviewed. From then on they
stay as they are.
"""

import argparse
import asyncio
import importlib
import importlib.util
import pkgutil
import sys
import tempfile

from alembic import command
from sqlalchemy import Connection

from towpath_server.core.clock import SystemClock
from towpath_server.core.db import Database
from towpath_server.core.seal import MIN_KEY_LENGTH, Sealer
from towpath_server.core.secret import Secret
from towpath_server.migrations import CHAINS, HERE, SEALED, config, differences, digests, sealed


def import_tables() -> None:
    """Import every module that declares tables, so that the metadata is whole."""
    for module in (
        "core.revision",
        "web.idempotency",
        "loops.lease",
        "gatewaylink.tables",
        "adapters.objectstore.removals",
    ):
        importlib.import_module(f"towpath_server.{module}")
    # by name: the layers below the domains may not import them
    domains = importlib.import_module("towpath_server.domains")
    for domain in pkgutil.iter_modules(domains.__path__, f"{domains.__name__}."):
        if importlib.util.find_spec(f"{domain.name}.tables"):
            importlib.import_module(f"{domain.name}.tables")


async def new(name: str) -> None:
    """Write a migration for each chain whose tables changed since its last one."""
    import_tables()
    with tempfile.TemporaryDirectory() as folder:
        sealer = Sealer(Secret("0" * MIN_KEY_LENGTH))
        url = f"sqlite:///{folder}/towpath.db"
        db = await Database.open(url, None, SystemClock(), sealer=sealer)
        for chain in CHAINS:
            async with db.schema_change(ledger=chain == "ledger") as connection:
                await connection.run_sync(_write, chain, name)
        await db.close()


def _write(connection: Connection, chain: str, name: str) -> None:
    settings = config(chain, connection)
    command.upgrade(settings, "head")
    if not differences(connection, chain):
        return
    versions = HERE / "versions" / chain
    number = 1 + max(int(path.name[:4]) for path in versions.glob("[0-9]*.py"))
    revision = f"{number:04}_{name}"
    command.revision(settings, message=name.replace("_", " "), rev_id=revision, autogenerate=True)
    written = next(versions.glob(f"{revision}_*.py"))
    lines = written.read_text().splitlines(keepends=True)
    target = versions / f"{revision}.py"
    target.write_text("".join(line for line in lines if "# ###" not in line))
    written.unlink()
    sys.stdout.write(f"wrote {target}; read it, `make fmt`, then `seal`\n")


def seal() -> None:
    """
    Note the digests of migrations that have none yet.

    Raises:
        SystemExit: One that is sealed was changed.
    """
    now, fixed = digests(), sealed()
    changed = [path for path, digest in fixed.items() if now.get(path) != digest]
    if changed:
        sys.exit(f"error: sealed migrations were changed: {', '.join(changed)}")
    SEALED.write_text("".join(f"{digest}  {path}\n" for path, digest in now.items()))


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m towpath_server.migrations")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("new").add_argument("name", metavar="NAME")
    commands.add_parser("seal")
    options = parser.parse_args()
    if options.command == "seal":
        seal()
    else:
        asyncio.run(new(options.name))


if __name__ == "__main__":
    main()
