"""Tables of evaluations."""

from sqlalchemy import JSON, Column, Index, Integer, String, Table, Text

from towpath_server.core import queries
from towpath_server.core.db import metadata

evaluations = Table(
    "evaluations",
    metadata,
    *queries.resource(),
    Column("team_id", String(64), nullable=False),
    Column("project_id", String(64), nullable=False),
    Column("model", String(63), nullable=False),
    Column("version", Integer, nullable=False),
    Column("digest", String(80), nullable=False),
    Column("suite", String(63), nullable=False),
    Column("suite_version", String(63), nullable=False),
    Column("runtime", String(63)),
    Column("metrics", JSON, nullable=False),
    Column("verdict", String(16)),
    Column("source", Text, nullable=False),
    Column("created_by", String(64), nullable=False),
    Index(None, "digest", "suite", "suite_version"),
    Index(None, "project_id"),
)
