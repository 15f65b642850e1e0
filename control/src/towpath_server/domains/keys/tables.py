"""Tables of keys, service accounts and stand-ins. A revoked key stays: its usage keeps a name."""

from sqlalchemy import JSON, BigInteger, Column, Index, String, Table, UniqueConstraint

from towpath_server.core import queries
from towpath_server.core.db import metadata

keys = Table(
    "keys",
    metadata,
    *queries.resource(),
    Column("kind", String(16), nullable=False),
    Column("team_id", String(64), nullable=False),
    Column("project_id", String(64), nullable=False),
    Column("environment", String(16), nullable=False),
    Column("name", String(500), nullable=False),
    Column("hash", String(64), nullable=False),
    Column("hint", String(8), nullable=False),
    Column("scopes", JSON, nullable=False),
    Column("application_id", String(64)),
    Column("endpoints", JSON(none_as_null=True)),
    Column("operations", JSON(none_as_null=True)),
    Column("sources", JSON(none_as_null=True)),
    Column("max_data_class", String(16)),
    Column("priority", String(16)),
    Column("expires_at_ms", BigInteger),
    Column("last_used_at_ms", BigInteger),
    Column("revoked_at_ms", BigInteger),
    Column("rotated_from", String(64)),
    UniqueConstraint("hash"),
    Index(None, "project_id"),
    Index(None, "team_id"),
    Index(None, "application_id"),
)

stand_ins = Table(
    "key_stand_ins",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("key_id", String(64), nullable=False),
    Column("project_id", String(64), nullable=False),
    Column("environment", String(16), nullable=False),
    Column("hash", String(64), nullable=False),
    Column("sources", JSON(none_as_null=True)),
    Column("expires_at_ms", BigInteger, nullable=False),
    UniqueConstraint("hash"),
    Index(None, "key_id"),
    Index(None, "expires_at_ms"),
)
