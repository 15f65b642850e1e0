"""The table of logged bodies; they lie sealed in the object store, under `digest`."""

from sqlalchemy import BigInteger, Column, Index, String, Table

from towpath_server.core.db import metadata

bodies = Table(
    "request_bodies",
    metadata,
    Column("request_id", String(64), primary_key=True),
    Column("team_id", String(64), nullable=False),
    Column("project_id", String(64), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("digest", String(80), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Index(None, "project_id", "at_ms"),
    Index(None, "digest"),
)
