"""Tables of nodes."""

from sqlalchemy import JSON, BigInteger, Column, Integer, String, Table, UniqueConstraint

from towpath_server.core import queries
from towpath_server.core.db import metadata

nodes = Table(
    "nodes",
    metadata,
    *queries.resource(),
    Column("name", String(255), nullable=False),
    Column("cores", Integer, nullable=False),
    Column("threads", Integer, nullable=False),
    Column("memory_bytes", BigInteger, nullable=False),
    Column("seen_at_ms", BigInteger, nullable=False),
    Column("disk_bytes", BigInteger, nullable=False, server_default="0"),
    Column("gpus", JSON),
    Column("isolation", JSON),
    Column("use", JSON),
    Column("holders", JSON),
    UniqueConstraint("name"),
)
