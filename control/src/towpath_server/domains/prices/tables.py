"""The table of prices."""

from sqlalchemy import JSON, BigInteger, Column, Index, String, Table

from towpath_server.core.db import metadata

prices = Table(
    "prices",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("owner_id", String(64), nullable=False),
    # Empty where the owner itself has the price.
    Column("model", String(200), nullable=False),
    Column("from_ms", BigInteger),
    Column("amounts", JSON, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("retired_at_ms", BigInteger),
    Index(None, "owner_id", "model"),
)
"""Rows are never changed but for `retired_at_ms`, and never deleted: records name them."""
