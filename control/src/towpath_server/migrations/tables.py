"""
Whether the tables of a database are those that the code writes to.

A revision's name says which migration ran, not what it said then: builds before the first release
rewrote their initial migration, and a database may be changed by hand. Only what the code would
stumble over is looked for; indexes and tables that somebody added stay theirs.
"""

from collections.abc import Iterator

from sqlalchemy import Connection, Inspector, MetaData, inspect
from sqlalchemy.engine.interfaces import ReflectedColumn

# Enough to see what it is about; a database of another build may differ in every table.
MAX_NAMED = 5


def stumbling_blocks(connection: Connection, metadata: MetaData) -> list[str]:
    """List what the tables lack, and what they ask for that the code does not give."""
    found = inspect(connection)
    columns = _columns(found)
    blocks: list[str] = []
    for table in metadata.sorted_tables:
        there = columns.get(table.name)
        if there is None:
            blocks.append(f"the table `{table.name}` is missing")
            continue
        given = {column.name: column for column in table.columns}
        blocks += [f"`{table.name}.{name}` is missing" for name in given if name not in there]
        blocks += [
            f"`{table.name}.{name}` is mandatory there"
            for name in _mandatory(there)
            if name not in given or given[name].nullable
        ]
    return blocks


def named(blocks: list[str]) -> str:
    """Write the first of them into one sentence."""
    rest = len(blocks) - MAX_NAMED
    more = f", and {rest} more" if rest > 0 else ""
    return ", ".join(blocks[:MAX_NAMED]) + more


def _columns(found: Inspector) -> dict[str, dict[str, ReflectedColumn]]:
    return {
        name: {column["name"]: column for column in columns}
        for (_, name), columns in found.get_multi_columns().items()
    }


def _mandatory(columns: dict[str, ReflectedColumn]) -> Iterator[str]:
    """Name the columns without which no row is taken."""
    for name, column in columns.items():
        if not column["nullable"] and column.get("default") is None:
            yield name
