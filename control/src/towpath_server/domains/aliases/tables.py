"""Tables of aliases."""

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from towpath_server.core import queries
from towpath_server.core.db import metadata

model_aliases = Table(
    "model_aliases",
    metadata,
    *queries.resource(),
    Column("model_id", String(64), ForeignKey("models.id", ondelete="CASCADE"), nullable=False),
    Column("name", String(63), nullable=False),
    Column("number", Integer, nullable=False),
    Column("reason", Text, nullable=False),
    UniqueConstraint("model_id", "name"),
)

model_alias_moves = Table(
    "model_alias_moves",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("model_id", String(64), ForeignKey("models.id", ondelete="CASCADE"), nullable=False),
    Column("alias", String(63), nullable=False),
    Column("from_number", Integer),
    Column("to_number", Integer),
    Column("reason", Text),
    Column("by_kind", String(32), nullable=False),
    Column("by_id", String(64), nullable=False),
    Column("by_name", String(200), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Index(None, "model_id", "alias", "id"),
)
"""The log; it goes with its model, and outlives the alias."""
