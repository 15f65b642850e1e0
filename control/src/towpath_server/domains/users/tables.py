"""Tables of users, their tokens and memberships, and of the platform's own key."""

from sqlalchemy import BigInteger, Column, Index, String, Table, UniqueConstraint

from towpath_server.core import queries
from towpath_server.core.db import metadata

users = Table(
    "users",
    metadata,
    *queries.resource(),
    Column("name", String(500), nullable=False),
    Column("email", String(254)),
    Column("platform_role", String(16)),
    UniqueConstraint("email"),
)

user_tokens = Table(
    "user_tokens",
    metadata,
    *queries.resource(),
    Column("user_id", String(64), nullable=False),
    Column("name", String(500), nullable=False),
    Column("hash", String(64), nullable=False),
    Column("hint", String(8), nullable=False),
    Column("expires_at_ms", BigInteger),
    UniqueConstraint("hash"),
    Index(None, "user_id"),
)

members = Table(
    "members",
    metadata,
    *queries.resource(),
    Column("team_id", String(64), nullable=False),
    Column("user_id", String(64), nullable=False),
    Column("role", String(16), nullable=False),
    UniqueConstraint("team_id", "user_id"),
    Index(None, "user_id"),
)

admin_keys = Table(
    "admin_keys",
    metadata,
    Column("hash", String(64), primary_key=True),
    Column("created_at_ms", BigInteger, nullable=False),
)
