"""Tables of connections."""

from sqlalchemy import Column, Index, String, Table, Text, UniqueConstraint

from towpath_server.core import queries
from towpath_server.core.db import metadata

connections = Table(
    "connections",
    metadata,
    *queries.resource(),
    Column("name", String(63), nullable=False),
    Column("team_id", String(64)),
    Column("location", String(500), nullable=False),
    Column("endpoint", String(2000)),
    Column("region", String(63)),
    Column("username", String(200)),
    Column("credential_id", String(64)),
    Column("credential_sealed", Text),
    Column("ca_pem", Text),
    UniqueConstraint("name"),
    Index(None, "team_id"),
)
