"""What follows the load: its bounds, what gateways say of it, and what was decided."""

import sqlalchemy as sa
from alembic import op

revision = "0013_scaling"
down_revision = "0012_node_use"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("deployments", sa.Column("scale", sa.Integer(), nullable=True))
    op.add_column("deployments", sa.Column("woken_at_ms", sa.BigInteger(), nullable=True))
    op.add_column(
        "deployment_revisions", sa.Column("scaling", sa.JSON(none_as_null=True), nullable=True)
    )
    op.create_table(
        "deployment_demands",
        sa.Column("gateway", sa.String(200), nullable=False),
        sa.Column("deployment_id", sa.String(64), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("in_flight", sa.Integer(), nullable=False),
        sa.Column("queued", sa.Integer(), nullable=False),
        sa.Column("calls", sa.BigInteger(), nullable=False),
        sa.Column("busy_ms", sa.BigInteger(), nullable=False),
        sa.Column("tokens", sa.BigInteger(), nullable=False),
        sa.Column("waiting", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("gateway", "deployment_id", name="pk_deployment_demands"),
        sa.ForeignKeyConstraint(
            ["deployment_id"],
            ["deployments.id"],
            name="fk_deployment_demands_deployment_id",
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_deployment_demands_at_ms", "deployment_demands", ["at_ms"])
    op.create_table(
        "scaling_decisions",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("deployment_id", sa.String(64), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("before", sa.Integer(), nullable=False),
        sa.Column("after", sa.Integer(), nullable=False),
        sa.Column("why", sa.String(32), nullable=False),
        sa.Column("metric", sa.String(32), nullable=False),
        sa.Column("target", sa.Float(), nullable=False),
        sa.Column("value", sa.Float(), nullable=False),
        sa.Column("stable", sa.Float(), nullable=False),
        sa.Column("least", sa.Integer(), nullable=False),
        sa.Column("most", sa.Integer(), nullable=False),
        sa.Column("limited", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_scaling_decisions"),
    )
    op.create_index(
        "ix_scaling_decisions_deployment_id_id", "scaling_decisions", ["deployment_id", "id"]
    )
    op.create_index("ix_scaling_decisions_at_ms", "scaling_decisions", ["at_ms"])
    op.create_table(
        "cold_starts",
        sa.Column("replica_id", sa.String(64), nullable=False),
        sa.Column("deployment_id", sa.String(64), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.Column("took_ms", sa.BigInteger(), nullable=False),
        sa.Column("engine_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("replica_id", name="pk_cold_starts"),
    )
    op.create_index("ix_cold_starts_deployment_id_at_ms", "cold_starts", ["deployment_id", "at_ms"])
