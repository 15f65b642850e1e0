"""Tables of projects and applications."""

from sqlalchemy import JSON, Column, Index, String, Table, Text, UniqueConstraint

from towpath_server.core import queries
from towpath_server.core.db import metadata

projects = Table(
    "projects",
    metadata,
    *queries.resource(),
    Column("team_id", String(64), nullable=False),
    Column("name", String(63), nullable=False),
    # none: the default, as every project begins
    Column("body_log", JSON(none_as_null=True)),
    UniqueConstraint("team_id", "name"),
)

applications = Table(
    "applications",
    metadata,
    *queries.resource(),
    Column("team_id", String(64), nullable=False),
    Column("project_id", String(64), nullable=False),
    Column("name", String(63), nullable=False),
    Column("owner", Text),
    Column("contact", Text),
    Column("use_case", Text),
    UniqueConstraint("project_id", "name"),
    Index(None, "team_id"),
)
