"""Tables of blocks."""

from sqlalchemy import Column, String, Table, Text, UniqueConstraint

from towpath_server.core import queries
from towpath_server.core.db import metadata

blocks = Table(
    "blocks",
    metadata,
    *queries.resource(),
    Column("what", String(16), nullable=False),
    Column("ref", String(255), nullable=False),
    Column("name", String(500), nullable=False),
    Column("reason", Text),
    UniqueConstraint("what", "ref"),
)
