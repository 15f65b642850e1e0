"""What a node has beside CPUs, and what a replica was given of it."""

import sqlalchemy as sa
from alembic import op

revision = "0003_compute"
down_revision = "0002_table_age"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "nodes", sa.Column("disk_bytes", sa.BigInteger(), nullable=False, server_default="0")
    )
    for table in ("nodes", "replicas"):
        for column in ("gpus", "isolation"):
            op.add_column(table, sa.Column(column, sa.JSON(), nullable=True))
