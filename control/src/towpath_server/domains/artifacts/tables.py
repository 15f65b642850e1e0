"""Tables of artifacts."""

from sqlalchemy import JSON, BigInteger, Column, Index, String, Table, UniqueConstraint

from towpath_server.core import queries
from towpath_server.core.db import metadata

artifact_uploads = Table(
    "artifact_uploads",
    metadata,
    Column("digest", String(80), primary_key=True),
    Column("holder", String(64), primary_key=True),
    Column("size", BigInteger, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
)
"""Who has shown that they have some content, and when last: teams, or a principal without one."""

open_uploads = Table(
    "open_uploads",
    metadata,
    *queries.resource(),
    Column("owner", String(64), nullable=False),
    Column("digest", String(80), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("holders", JSON, nullable=False),
    UniqueConstraint("owner", "digest", "size_bytes"),
    Index(None, "updated_at_ms"),
)
"""Uploads that are not finished; their bytes are in the store, which knows how far they are."""
