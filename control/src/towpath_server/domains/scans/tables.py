"""Tables of scans."""

from sqlalchemy import JSON, BigInteger, Column, Integer, String, Table

from towpath_server.core.db import metadata

artifact_scans = Table(
    "artifact_scans",
    metadata,
    Column("digest", String(80), primary_key=True),
    Column("name", String(500), primary_key=True),
    Column("scanner", Integer, primary_key=True, autoincrement=False),
    Column("found", JSON, nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
)
"""What a version of the scanner found in some content under the last part of its path."""
