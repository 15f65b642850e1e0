"""The one table of the link's own."""

from sqlalchemy import Column, Integer, String, Table, Text

from towpath_server.core.db import metadata

platform = Table(
    "platform",
    metadata,
    Column("only", Integer, primary_key=True, autoincrement=False),
    Column("name", String(100), nullable=False),
    Column("currency", String(3), nullable=False),
    Column("ready_when", Text, nullable=False),
    Column("max_table_age_ms", Text),
)
"""
Both texts are JSON that is read and written whole: `ready_when` a list of endpoint ids,
`max_table_age_ms` milliseconds by data class.
"""
