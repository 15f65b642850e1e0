"""Tables of approvals."""

from sqlalchemy import JSON, BigInteger, Column, Index, Integer, String, Table, Text

from towpath_server.core import queries
from towpath_server.core.db import metadata

approvals = Table(
    "approvals",
    metadata,
    *queries.resource(),
    Column("kind", String(32), nullable=False),
    Column("state", String(16), nullable=False),
    Column("team_id", String(64), nullable=False),
    Column("project_id", String(64)),
    Column("environment", String(32)),
    Column("name", String(63)),
    Column("subject_id", String(64)),
    Column("digest", String(80)),
    Column("summary", Text, nullable=False),
    Column("payload", JSON, nullable=False),
    Column("reason", Text),
    Column("requested_by", String(64), nullable=False),
    Column("requested_by_name", String(500), nullable=False),
    Column("needed", Integer, nullable=False),
    Column("expires_at_ms", BigInteger, nullable=False),
    Column("decisions", JSON, nullable=False),
    Column("note", Text),
    Column("result", JSON(none_as_null=True)),
    Index(None, "team_id", "id"),
    Index(None, "state", "subject_id"),
    Index(None, "state", "name", "environment"),
)
