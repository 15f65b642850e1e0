"""Tables of policies and their history."""

from sqlalchemy import JSON, BigInteger, Column, Index, Integer, String, Table, UniqueConstraint

from towpath_server.core import queries
from towpath_server.core.db import metadata

policies = Table(
    "policies",
    metadata,
    *queries.resource(),
    Column("name", String(63), nullable=False),
    Column("team_id", String(64)),
    Column("mode", String(16), nullable=False),
    Column("document", JSON, nullable=False),
    UniqueConstraint("name"),
    Index(None, "team_id"),
)

policy_versions = Table(
    "policy_versions",
    metadata,
    Column("policy_id", String(64), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("name", String(63), nullable=False),
    Column("change", String(16), nullable=False),
    Column("mode", String(16), nullable=False),
    Column("document", JSON, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("by", String(64), nullable=False),
    Index(None, "name"),
)
"""What each policy said; it outlives the policy, so that a default stays deleted."""
