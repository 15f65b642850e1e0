"""table age."""

import sqlalchemy as sa
from alembic import op

revision = "0002_table_age"
down_revision = "0001_initial"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("platform", sa.Column("max_table_age_ms", sa.Text(), nullable=True))
