"""Tables of imports, and of their files until a version has them."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
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

imports = Table(
    "imports",
    metadata,
    *queries.resource(),
    Column("model", String(63), nullable=False),
    Column("team_id", String(64), nullable=False),
    Column("project_id", String(64), nullable=False),
    Column("uri", String(2000), nullable=False),
    # SHA-256 of project, model and URI while it is under way: what makes it the only one.
    Column("active", String(64)),
    Column("format", String(63)),
    Column("licence", String(200)),
    Column("card", Text),
    Column("tags", JSON, nullable=False),
    Column("phase", String(16), nullable=False),
    Column("by_kind", String(32), nullable=False),
    Column("by_id", String(64), nullable=False),
    Column("by_name", String(500), nullable=False),
    Column("pinned", String(2000)),
    Column("fingerprint", String(80)),
    Column("bytes_done", BigInteger, nullable=False),
    Column("bytes_total", BigInteger),
    Column("files_done", Integer, nullable=False),
    Column("files_total", Integer),
    Column("version", Integer),
    Column("trouble", JSON(none_as_null=True)),
    Column("attempts", Integer, nullable=False),
    Column("retry_at_ms", BigInteger),
    Column("ended_at_ms", BigInteger),
    Column("cancelled", Boolean, nullable=False),
    UniqueConstraint("active"),
    Index(None, "ended_at_ms"),
    Index(None, "model", "id"),
    Index(None, "team_id", "id"),
    Index(None, "project_id", "id"),
)

import_files = Table(
    "import_files",
    metadata,
    Column("import_id", String(64), ForeignKey("imports.id", ondelete="CASCADE"), primary_key=True),
    Column("path", String(500), primary_key=True),
    Column("digest", String(80), nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("upload", String(64)),
    Column("stored", Boolean, nullable=False),
    Index(None, "digest"),
)
