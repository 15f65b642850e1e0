"""Networks that upstreams given by URL may be in, whatever else forbids it."""

import sqlalchemy as sa
from alembic import op

revision = "0002_egress"
down_revision = "0001_initial"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "egress_networks",
        sa.Column("network", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("network", name=op.f("pk_egress_networks")),
    )


def downgrade() -> None:
    """Remove it."""
    op.drop_table("egress_networks")
