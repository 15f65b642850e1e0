"""Tables of deployments."""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
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

deployments = Table(
    "deployments",
    metadata,
    *queries.resource(),
    Column("name", String(63), nullable=False),
    Column("environment", String(32), nullable=False),
    Column("team_id", String(64), nullable=False),
    Column("project_id", String(64), nullable=False),
    Column("endpoint_id", String(64), nullable=False),
    Column("serving", Integer, nullable=False),
    Column("phase", String(32), nullable=False),
    Column("conditions", JSON, nullable=False),
    Column("first_ready_at_ms", BigInteger),
    Column("deleting_at_ms", BigInteger),
    Column("expires_at_ms", BigInteger),
    Column("warned_at_ms", BigInteger),
    Column("scale", Integer),
    Column("woken_at_ms", BigInteger),
    UniqueConstraint("name", "environment"),
    Index(None, "project_id"),
    Index(None, "expires_at_ms"),
)

deployment_revisions = Table(
    "deployment_revisions",
    metadata,
    Column(
        "deployment_id",
        String(64),
        ForeignKey("deployments.id", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("manifest", JSON, nullable=False),
    Column("model", String(63), nullable=False),
    Column("workload", JSON, nullable=False),
    Column("serving", JSON, nullable=False),
    Column("replicas", Integer, nullable=False),
    Column("scaling", JSON(none_as_null=True)),
    Column("cpu_milli", BigInteger, nullable=False, server_default="0"),
    Column("memory_bytes", BigInteger, nullable=False),
    Column("gpus", Integer, nullable=False, server_default="0"),
    Column("gpu_class", String(63)),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("created_by", String(64), nullable=False),
    Column("warnings", JSON),
    Column("proving", JSON, nullable=False, server_default="{}"),
    Column("proof", String(64), nullable=False, server_default=""),
    Column("proved_by", Integer),
    Column("exposed_at_ms", BigInteger),
    Column("note", Text),
    Column("origin", JSON(none_as_null=True)),
    Index(None, "model"),
)

deployment_trials = Table(
    "deployment_trials",
    metadata,
    Column("id", String(64), primary_key=True),
    Column(
        "deployment_id",
        String(64),
        ForeignKey("deployments.id", ondelete="CASCADE"),
        nullable=False,
    ),
    Column("number", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("replicas", Integer, nullable=False),
    Column("results", JSON, nullable=False),
    Column("note", Text),
    Column("hash", String(64)),
    Column("sources", JSON(none_as_null=True)),
    Column("expires_at_ms", BigInteger),
    Column("ended_at_ms", BigInteger),
    UniqueConstraint("deployment_id", "number"),
    Index(None, "state"),
)
"""Smoke tests of revisions; while one runs, its replicas can be called by one key alone."""

rollouts = Table(
    "rollouts",
    metadata,
    *queries.resource(),
    Column(
        "deployment_id",
        String(64),
        ForeignKey("deployments.id", ondelete="CASCADE"),
        nullable=False,
    ),
    Column("number", Integer, nullable=False),
    Column("plan", JSON, nullable=False),
    Column("step", Integer, nullable=False),
    Column("begun_at_ms", BigInteger),
    Column("since_ms", BigInteger),
    Column("paused_at_ms", BigInteger),
    Column("paused_by", String(200)),
    Column("base", JSON, nullable=False),
    Column("stretches", JSON, nullable=False),
    Column("outcome", String(16)),
    Column("reason", String(63)),
    Column("message", Text),
    Column("fix", Text),
    Column("ended_at_ms", BigInteger),
    Column("ended_by", String(200)),
    UniqueConstraint("deployment_id", "number"),
    Index(None, "outcome"),
)
"""How revisions take over step by step: one row for each that was declared with a `rollout`."""

rollout_counts = Table(
    "rollout_counts",
    metadata,
    Column("gateway", String(200), primary_key=True),
    Column("target", String(80), primary_key=True),
    Column(
        "deployment_id",
        String(64),
        ForeignKey("deployments.id", ondelete="CASCADE"),
        nullable=False,
    ),
    Column("said", JSON, nullable=False),
    Column("counted", JSON, nullable=False),
    Index(None, "deployment_id"),
)
"""What each gateway said last of a target in an open rollout, and what that comes to since."""

deployment_events = Table(
    "deployment_events",
    metadata,
    Column("id", String(64), primary_key=True),
    # No reference: what a deployment went through is kept beyond its end, for the time set.
    Column("deployment_id", String(64), nullable=False),
    Column("name", String(63), nullable=False),
    Column("environment", String(32), nullable=False),
    Column("team_id", String(64), nullable=False),
    Column("project_id", String(64), nullable=False),
    Column("number", Integer, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("type", String(32), nullable=False),
    Column("status", String(32), nullable=False),
    Column("reason", String(63), nullable=False),
    Column("message", Text, nullable=False),
    Index(None, "deployment_id", "id"),
    Index(None, "at_ms"),
)
"""Every change of a condition or a phase, for the time that they are kept."""

exposures = Table(
    "exposures",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("deployment_id", String(64), nullable=False),
    Column("name", String(63), nullable=False),
    Column("environment", String(32), nullable=False),
    Column("team_id", String(64), nullable=False),
    Column("project_id", String(64), nullable=False),
    Column("number", Integer, nullable=False),
    Column("model", String(63), nullable=False),
    Column("version", Integer, nullable=False),
    Column("digest", String(80), nullable=False),
    Column("runtime", String(63), nullable=False),
    Column("from_ms", BigInteger, nullable=False),
    Column("until_ms", BigInteger),
    Column("origin", JSON(none_as_null=True)),
    Index(None, "model", "environment", "from_ms"),
    Index(None, "deployment_id", "until_ms"),
)
"""Outlives its deployment, so nothing refers to other tables."""

deployment_records = Table(
    "deployment_records",
    metadata,
    Column("deployment_id", String(64), primary_key=True),
    Column("name", String(63), nullable=False),
    Column("environment", String(32), nullable=False),
    Column("team_id", String(64), nullable=False),
    Column("project_id", String(64), nullable=False),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("hand", String(32)),
    Column("first_ready_at_ms", BigInteger),
    Column("trouble", String(200)),
    Column("ended_at_ms", BigInteger),
    Index(None, "created_at_ms"),
    Index(None, "team_id", "created_at_ms"),
)
"""
Outlives its deployment as well, and its events: those go after a year and a month, and do not say
whose hand it took. One row a deployment is also what the rate is counted from at once.
"""

deployment_demands = Table(
    "deployment_demands",
    metadata,
    Column("gateway", String(200), primary_key=True),
    Column(
        "deployment_id",
        String(64),
        ForeignKey("deployments.id", ondelete="CASCADE"),
        primary_key=True,
    ),
    Column("at_ms", BigInteger, nullable=False),
    Column("in_flight", Integer, nullable=False),
    Column("queued", Integer, nullable=False),
    Column("calls", BigInteger, nullable=False),
    Column("busy_ms", BigInteger, nullable=False),
    Column("tokens", BigInteger, nullable=False),
    Column("waiting", Boolean, nullable=False),
    Index(None, "at_ms"),
)
"""The last word of each gateway on the load of what is scaled by it."""

scaling_decisions = Table(
    "scaling_decisions",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("deployment_id", String(64), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("before", Integer, nullable=False),
    Column("after", Integer, nullable=False),
    Column("why", String(32), nullable=False),
    Column("metric", String(32), nullable=False),
    Column("target", Float, nullable=False),
    Column("value", Float, nullable=False),
    Column("stable", Float, nullable=False),
    Column("least", Integer, nullable=False),
    Column("most", Integer, nullable=False),
    Column("limited", Text),
    Index(None, "deployment_id", "id"),
    Index(None, "at_ms"),
)

cold_starts = Table(
    "cold_starts",
    metadata,
    Column("replica_id", String(64), primary_key=True),
    Column("deployment_id", String(64), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("took_ms", BigInteger, nullable=False),
    Column("engine_ms", BigInteger, nullable=False),
    Index(None, "deployment_id", "at_ms"),
)

replicas = Table(
    "replicas",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("deployment_id", String(64), ForeignKey("deployments.id"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("workload", String(64), nullable=False),
    Column("credential_id", String(64), nullable=False),
    Column("credential_sealed", Text, nullable=False),
    Column("state", String(32), nullable=False),
    Column("address", String(300)),
    Column("restarts", Integer, nullable=False),
    Column("crashes", Integer, nullable=False),
    Column("reason", String(63)),
    Column("message", Text),
    Column("retire_at_ms", BigInteger),
    Column("created_at_ms", BigInteger, nullable=False),
    Column("gpus", JSON),
    Column("isolation", JSON),
    Index(None, "deployment_id"),
    UniqueConstraint("credential_id"),
)
