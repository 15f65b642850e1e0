"""Tables of endpoints."""

from sqlalchemy import (
    JSON,
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

endpoint_names = Table(
    "endpoint_names",
    metadata,
    Column("name", String(63), primary_key=True),
    Column("project_id", String(64)),
)
"""A name belongs to one project across all environments; to the platform where there is none."""

endpoints = Table(
    "endpoints",
    metadata,
    *queries.resource(),
    Column("name", String(63), ForeignKey("endpoint_names.name"), nullable=False),
    Column("environment", String(32), nullable=False),
    Column("team_id", String(64)),
    Column("project_id", String(64)),
    Column("deployment_id", String(64)),
    Column("visibility", String(32), nullable=False),
    Column("callers", String(100), nullable=False),
    Column("serving", JSON, nullable=False),
    UniqueConstraint("name", "environment"),
    Index(None, "project_id"),
)
"""`callers` is written `,sandbox,staging,`, so that one condition finds an environment in it."""

endpoint_allow = Table(
    "endpoint_allow",
    metadata,
    Column(
        "endpoint_id", String(64), ForeignKey("endpoints.id", ondelete="CASCADE"), primary_key=True
    ),
    Column("kind", String(32), primary_key=True),
    Column("allowed_id", String(64), primary_key=True),
)

targets = Table(
    "targets",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("kind", String(32), nullable=False),
    Column("name", String(200), nullable=False),
    Column("environment", String(32), nullable=False),
    Column("team_id", String(64)),
    Column("project_id", String(64)),
    Column("endpoint_id", String(64), ForeignKey("endpoints.id", ondelete="CASCADE")),
    Column("provider_id", String(64)),
    Column("dialect", String(32)),
    Column("url", String(2000)),
    Column("upstream_model", String(200)),
    Column("operations", JSON, nullable=False),
    Column("signature", JSON(none_as_null=True)),
    Column("region", String(63)),
    Column("max_data_class", String(32), nullable=False),
    Column("credential_id", String(64)),
    Column("credential_sealed", Text),
    Column("header", String(100)),
    Column("context_length", Integer),
    Column("handling", JSON, nullable=False),
    Column("ready", Boolean, nullable=False),
    Column("note", Text),
    Index(None, "kind", "name", "environment"),
    Index(None, "endpoint_id"),
    Index(None, "provider_id"),
    UniqueConstraint("credential_id"),
)

endpoint_targets = Table(
    "endpoint_targets",
    metadata,
    Column(
        "endpoint_id", String(64), ForeignKey("endpoints.id", ondelete="CASCADE"), primary_key=True
    ),
    Column("is_fallback", Boolean, primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("target_id", String(64), ForeignKey("targets.id")),
    Column("onward_id", String(64), ForeignKey("endpoints.id")),
    Column("weight", Integer, nullable=False),
    Index(None, "target_id"),
    Index(None, "onward_id"),
)
"""One of `target_id` and `onward_id`, another endpoint that a fallback chain goes on with."""
