"""Tables of quotas."""

from sqlalchemy import JSON, BigInteger, Column, Integer, String, Table, UniqueConstraint

from towpath_server.core import queries
from towpath_server.core.db import metadata

quotas = Table(
    "quotas",
    metadata,
    *queries.resource(),
    Column("team_id", String(64), nullable=False),
    Column("environment", String(32), nullable=False),
    Column("replicas", Integer),
    Column("cpu_milli", BigInteger),
    Column("memory_bytes", BigInteger),
    Column("gpus", JSON(none_as_null=True)),
    UniqueConstraint("team_id", "environment"),
)
