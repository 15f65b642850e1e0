"""Tables of the audit log."""

from sqlalchemy import JSON, BigInteger, Column, Index, String, Table, Text

from towpath_server.core.db import metadata

events = Table(
    "audit_events",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("at_ms", BigInteger, nullable=False),
    Column("principal_kind", String(32), nullable=False),
    Column("principal_id", String(64), nullable=False),
    Column("principal_name", String(500), nullable=False),
    Column("action", String(64), nullable=False),
    Column("noun", String(32), nullable=False),
    Column("resource_id", String(500)),
    Column("team_id", String(64)),
    Column("outcome", String(16), nullable=False),
    Column("code", String(64)),
    Column("detail", Text),
    Column("request_id", String(64)),
    Column("changes", JSON(none_as_null=True)),
    Index(None, "team_id", "id"),
    Index(None, "noun", "resource_id"),
    Index(None, "principal_id"),
)
