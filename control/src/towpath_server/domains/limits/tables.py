"""Tables of limits."""

from sqlalchemy import BigInteger, Column, Index, String, Table

from towpath_server.core import queries
from towpath_server.core.db import metadata

limits = Table(
    "limits",
    metadata,
    *queries.resource(),
    Column("key_id", String(64)),
    Column("project_id", String(64)),
    Column("team_id", String(64)),
    Column("endpoint_id", String(64)),
    Column("owner_team_id", String(64)),
    Column("owner_project_id", String(64)),
    Column("set_by", String(16), nullable=False),
    Column("requests_per_second", BigInteger),
    Column("requests_per_second_burst", BigInteger),
    Column("requests_per_minute", BigInteger),
    Column("requests_per_minute_burst", BigInteger),
    Column("tokens_per_minute", BigInteger),
    Column("tokens_per_minute_burst", BigInteger),
    Column("concurrency", BigInteger),
    Index(None, "key_id"),
    Index(None, "project_id"),
    Index(None, "team_id"),
    Index(None, "endpoint_id"),
    Index(None, "owner_team_id"),
)
"""`…_id` is the subject; `owner_…` says whose rule it is, for those who list."""
