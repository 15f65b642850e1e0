"""Tables of budgets: what is declared, in the main database, and what is used, in the ledger."""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, String, Table

from towpath_server.core import queries
from towpath_server.core.db import ledger_metadata, metadata

budgets = Table(
    "budgets",
    metadata,
    *queries.resource(),
    Column("key_id", String(64)),
    Column("project_id", String(64)),
    Column("team_id", String(64)),
    Column("endpoint_id", String(64)),
    Column("owner_team_id", String(64)),
    Column("owner_project_id", String(64)),
    Column("set_by", String(16), nullable=False),
    Column("unit", String(16), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("period", String(16), nullable=False),
    Column("mode", String(16), nullable=False),
    Column("warn_percent", Integer, nullable=False),
    Index(None, "key_id"),
    Index(None, "project_id"),
    Index(None, "team_id"),
    Index(None, "endpoint_id"),
    Index(None, "owner_team_id"),
)

levels = Table(
    "budget_levels",
    metadata,
    Column("budget_id", String(64), ForeignKey("budgets.id", ondelete="CASCADE"), primary_key=True),
    Column("period_start_ms", BigInteger, primary_key=True, autoincrement=False),
    Column("level", Integer, primary_key=True, autoincrement=False),
    Column("amount", BigInteger, primary_key=True, autoincrement=False),
)
"""What people were told: each level once per period, and again when the amount was changed."""

# What records are counted by, in the same transaction that stores them.
definitions = Table(
    "budget_definitions",
    ledger_metadata,
    Column("id", String(64), primary_key=True),
    Column("key_id", String(64)),
    Column("project_id", String(64)),
    Column("team_id", String(64)),
    Column("endpoint_id", String(64)),
    Column("unit", String(16), nullable=False),
    Column("period", String(16), nullable=False),
    Column("amount", BigInteger, nullable=False),
    Column("warn_percent", Integer, nullable=False),
    Column("counts_from_ms", BigInteger, nullable=False),
    Column("registered_at_ms", BigInteger, nullable=False),
)

uses = Table(
    "budget_uses",
    ledger_metadata,
    Column("budget_id", String(64), primary_key=True),
    Column("period_start_ms", BigInteger, primary_key=True, autoincrement=False),
    Column("period_end_ms", BigInteger, nullable=False),
    Column("used", BigInteger, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("level", Integer, nullable=False),
    Column("told", Integer, nullable=False),
    Index(None, "position"),
)
"""`position` rises with every change, in order of commit; `told` is the level people know of."""

positions = Table(
    "gateway_positions",
    ledger_metadata,
    Column("gateway_id", String(64), primary_key=True),
    Column("sequence", BigInteger, nullable=False),
    Column("stored_at_ms", BigInteger, nullable=False),
)
"""Up to which of its records each gateway is in the ledger: it ships them in order."""

counters = Table(
    "budget_counters",
    ledger_metadata,
    Column("name", String(16), primary_key=True),
    Column("value", BigInteger, nullable=False),
)
"""`definitions` counts their changes, and its lock keeps them from changing under a batch;
`position` is that of the latest use."""
