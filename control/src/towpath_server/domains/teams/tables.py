"""Tables of teams."""

from sqlalchemy import Column, Integer, String, Table, UniqueConstraint

from towpath_server.core import queries
from towpath_server.core.db import metadata

teams = Table(
    "teams",
    metadata,
    *queries.resource(),
    Column("name", String(63), nullable=False),
    Column("weight", Integer, nullable=False),
    UniqueConstraint("name"),
)
