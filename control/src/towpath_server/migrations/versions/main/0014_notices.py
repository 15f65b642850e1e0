"""Notices are of every noun: the table of those of budgets takes the others in."""

from alembic import op

revision = "0014_notices"
down_revision = "0013_scaling"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_budget_notices_next_at_ms", "budget_notices")
    op.rename_table("budget_notices", "notices")
    op.create_index("ix_notices_next_at_ms", "notices", ["next_at_ms"])
