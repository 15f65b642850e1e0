"""Newer revisions take over step by step, judged by what gateways count."""

import sqlalchemy as sa
from alembic import op

revision = "0015_rollouts"
down_revision = "0014_notices"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "rollouts",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("deployment_id", sa.String(64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("plan", sa.JSON(), nullable=False),
        sa.Column("step", sa.Integer(), nullable=False),
        sa.Column("begun_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("since_ms", sa.BigInteger(), nullable=True),
        sa.Column("paused_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("paused_by", sa.String(200), nullable=True),
        sa.Column("base", sa.JSON(), nullable=False),
        sa.Column("stretches", sa.JSON(), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=True),
        sa.Column("reason", sa.String(63), nullable=True),
        sa.Column("message", sa.Text(), nullable=True),
        sa.Column("fix", sa.Text(), nullable=True),
        sa.Column("ended_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("ended_by", sa.String(200), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_rollouts"),
        sa.UniqueConstraint("deployment_id", "number", name="uq_rollouts_deployment_id_number"),
        sa.ForeignKeyConstraint(
            ["deployment_id"],
            ["deployments.id"],
            name="fk_rollouts_deployment_id",
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_rollouts_outcome", "rollouts", ["outcome"])
    op.create_table(
        "rollout_counts",
        sa.Column("gateway", sa.String(200), nullable=False),
        sa.Column("target", sa.String(80), nullable=False),
        sa.Column("deployment_id", sa.String(64), nullable=False),
        sa.Column("said", sa.JSON(), nullable=False),
        sa.Column("counted", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("gateway", "target", name="pk_rollout_counts"),
        sa.ForeignKeyConstraint(
            ["deployment_id"],
            ["deployments.id"],
            name="fk_rollout_counts_deployment_id",
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_rollout_counts_deployment_id", "rollout_counts", ["deployment_id"])
