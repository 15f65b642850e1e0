"""Tables of models."""

from sqlalchemy import (
    JSON,
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

models = Table(
    "models",
    metadata,
    *queries.resource(),
    Column("name", String(63), nullable=False),
    Column("team_id", String(64), nullable=False),
    Column("project_id", String(64), nullable=False),
    Column("visibility", String(32), nullable=False),
    Column("description", Text),
    UniqueConstraint("name"),
    Index(None, "project_id"),
)

model_versions = Table(
    "model_versions",
    metadata,
    *queries.resource(),
    Column("model_id", String(64), ForeignKey("models.id", ondelete="CASCADE"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("digest", String(80), nullable=False),
    Column("format", String(63), nullable=False),
    Column("files", JSON, nullable=False),
    Column("signature", JSON(none_as_null=True)),
    Column("card", Text),
    Column("licence", String(200)),
    Column("lineage", JSON, nullable=False),
    Column("created_by", String(64), nullable=False),
    Column("scanned", JSON(none_as_null=True)),
    UniqueConstraint("model_id", "number"),
    Index(None, "format"),
    Index(None, "licence"),
)

model_tags = Table(
    "model_tags",
    metadata,
    Column("model_id", String(64), ForeignKey("models.id", ondelete="CASCADE"), primary_key=True),
    Column("key", String(63), primary_key=True),
    Column("value", String(256), nullable=False),
    Index(None, "key", "value"),
)

model_version_tags = Table(
    "model_version_tags",
    metadata,
    Column(
        "version_id",
        String(64),
        ForeignKey("model_versions.id", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("key", String(63), primary_key=True),
    Column("value", String(256), nullable=False),
    Index(None, "key", "value"),
)
