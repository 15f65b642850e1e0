"""proving: smoke tests, gates, evaluations and the log of conditions."""

import sqlalchemy as sa
from alembic import op

revision = "0008_proving"
down_revision = "0007_uploads"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for column in (
        sa.Column("proving", sa.JSON(), server_default="{}", nullable=False),
        sa.Column("proof", sa.String(length=64), server_default="", nullable=False),
        sa.Column("proved_by", sa.Integer(), nullable=True),
        sa.Column("exposed_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
    ):
        op.add_column("deployment_revisions", column)
    op.create_table(
        "deployment_trials",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("deployment_id", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("replicas", sa.Integer(), nullable=False),
        sa.Column("results", sa.JSON(), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("hash", sa.String(length=64), nullable=True),
        sa.Column("sources", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("expires_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("ended_at_ms", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["deployment_id"],
            ["deployments.id"],
            name=op.f("fk_deployment_trials_deployment_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deployment_trials")),
        sa.UniqueConstraint(
            "deployment_id", "number", name=op.f("uq_deployment_trials_deployment_id_number")
        ),
    )
    op.create_index(op.f("ix_deployment_trials_state"), "deployment_trials", ["state"])
    op.create_table(
        "deployment_events",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("deployment_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("environment", sa.String(length=32), nullable=False),
        sa.Column("team_id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("type", sa.String(length=32), nullable=False),
        sa.Column("status", sa.String(length=32), nullable=False),
        sa.Column("reason", sa.String(length=63), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deployment_events")),
    )
    op.create_index(
        op.f("ix_deployment_events_deployment_id_id"), "deployment_events", ["deployment_id", "id"]
    )
    op.create_index(op.f("ix_deployment_events_at_ms"), "deployment_events", ["at_ms"])
    op.create_table(
        "evaluations",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("team_id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("model", sa.String(length=63), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(length=80), nullable=False),
        sa.Column("suite", sa.String(length=63), nullable=False),
        sa.Column("suite_version", sa.String(length=63), nullable=False),
        sa.Column("runtime", sa.String(length=63), nullable=True),
        sa.Column("metrics", sa.JSON(), nullable=False),
        sa.Column("verdict", sa.String(length=16), nullable=True),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("created_by", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_evaluations")),
    )
    op.create_index(
        op.f("ix_evaluations_digest_suite_suite_version"),
        "evaluations",
        ["digest", "suite", "suite_version"],
    )
    op.create_index(op.f("ix_evaluations_project_id"), "evaluations", ["project_id"])
