"""What nodes are used for, and by whom."""

import sqlalchemy as sa
from alembic import op

revision = "0012_node_use"
down_revision = "0011_imports"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for column in ("use", "holders"):
        op.add_column("nodes", sa.Column(column, sa.JSON(), nullable=True))
