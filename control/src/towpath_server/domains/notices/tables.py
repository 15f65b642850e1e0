"""The table of notices."""

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table, Text

from towpath_server.core.db import metadata

notices = Table(
    "notices",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("at_ms", BigInteger, nullable=False),
    Column("body", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("next_at_ms", BigInteger, nullable=False),
    Index(None, "next_at_ms"),
)
"""What receivers outside must still be told."""
