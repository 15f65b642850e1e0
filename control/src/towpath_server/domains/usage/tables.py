"""The ledger: one row per record, and sums by the hour that reports read."""

from sqlalchemy import BigInteger, Column, Index, Integer, String, Table, Text

from towpath_server.core.db import ledger_metadata

records = Table(
    "usage_records",
    ledger_metadata,
    # The pair that makes a record unique, however often it is sent.
    Column("gateway_id", String(64), primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    # Ids sort by time, so the log is paged by them.
    Column("id", String(64), nullable=False),
    Column("time_ms", BigInteger, nullable=False),
    Column("environment", String(16)),
    Column("team", String(64)),
    Column("project", String(64)),
    Column("application", String(64)),
    Column("key_id", String(64)),
    Column("endpoint", String(255)),
    Column("status", Integer),
    Column("ended", String(16), nullable=False),
    Column("document", Text, nullable=False),
    Index(None, "id"),
    Index(None, "team", "id"),
    Index(None, "project", "id"),
)

# Absent values are empty strings here: a primary key takes no NULL, and no id or name is empty.
hourly = Table(
    "usage_hourly",
    ledger_metadata,
    Column("hour_ms", BigInteger, primary_key=True, autoincrement=False),
    Column("team", String(64), primary_key=True),
    Column("project", String(64), primary_key=True),
    Column("application", String(64), primary_key=True),
    Column("key_id", String(64), primary_key=True),
    Column("environment", String(16), primary_key=True),
    Column("endpoint", String(255), primary_key=True),
    # The name is what callers asked for; budgets are of ids.
    Column("endpoint_id", String(64), primary_key=True),
    Column("operation", String(32), primary_key=True),
    Column("model", String(255), primary_key=True),
    Column("provider", String(255), primary_key=True),
    Column("currency", String(3), primary_key=True),
    Column("requests", BigInteger, nullable=False),
    Column("errors", BigInteger, nullable=False),
    Column("refused", BigInteger, nullable=False),
    Column("uncounted", BigInteger, nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("cached_input_tokens", BigInteger, nullable=False),
    Column("cost_nano", BigInteger, nullable=False),
    Column("cache_write_tokens", BigInteger, nullable=False),
    Column("reasoning_tokens", BigInteger, nullable=False),
    Column("audio_input_tokens", BigInteger, nullable=False),
    Column("audio_output_tokens", BigInteger, nullable=False),
    Column("gpu_us", BigInteger, nullable=False),
    Column("cache_hits", BigInteger, nullable=False),
    Column("saved_nano", BigInteger, nullable=False),
)
