"""The table of files; their bytes are in the object store, under `digest`."""

from sqlalchemy import BigInteger, Column, Index, String, Table

from towpath_server.core import queries
from towpath_server.core.db import metadata

files = Table(
    "files",
    metadata,
    *queries.resource(),
    Column("team_id", String(64), nullable=False),
    Column("project_id", String(64), nullable=False),
    Column("environment", String(16), nullable=False),
    Column("purpose", String(32), nullable=False),
    Column("filename", String(255), nullable=False),
    Column("digest", String(80), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("expires_at_ms", BigInteger),
    Index(None, "project_id", "id"),
    Index(None, "team_id", "id"),
    Index(None, "digest"),
    Index(None, "expires_at_ms"),
)
