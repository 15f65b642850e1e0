"""Tables of batches, and of what became of their lines until it is written to files."""

from sqlalchemy import JSON, BigInteger, Boolean, Column, Index, Integer, String, Table, Text

from towpath_server.core import queries
from towpath_server.core.db import metadata

batches = Table(
    "batches",
    metadata,
    *queries.resource(),
    Column("team_id", String(64), nullable=False),
    Column("project_id", String(64), nullable=False),
    Column("environment", String(16), nullable=False),
    Column("key_id", String(64), nullable=False),
    Column("url", String(64), nullable=False),
    Column("input_file", String(64), nullable=False),
    Column("input_digest", String(80), nullable=False),
    Column("window", String(8), nullable=False),
    Column("status", String(16), nullable=False),
    Column("expires_at_ms", BigInteger, nullable=False),
    Column("total", Integer, nullable=False),
    Column("completed", Integer, nullable=False),
    Column("failed", Integer, nullable=False),
    Column("ends_as", String(16)),
    Column("output_file", String(64)),
    Column("error_file", String(64)),
    Column("output_lasts_s", Integer),
    Column("metadata", JSON(none_as_null=True)),
    Column("flaws", JSON, nullable=False),
    Column("in_progress_at_ms", BigInteger),
    Column("finalizing_at_ms", BigInteger),
    Column("cancelling_at_ms", BigInteger),
    Column("ended_at_ms", BigInteger),
    Index(None, "project_id", "id"),
    Index(None, "team_id", "id"),
    Index(None, "status"),
    Index(None, "input_file"),
)

results = Table(
    "batch_results",
    metadata,
    Column("batch_id", String(64), primary_key=True),
    # The line's place in the input: what makes a result the only one of its line.
    Column("line", Integer, primary_key=True, autoincrement=False),
    Column("ok", Boolean, nullable=False),
    Column("document", Text, nullable=False),
)
