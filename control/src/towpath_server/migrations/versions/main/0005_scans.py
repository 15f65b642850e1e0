"""scans: what was found in the content of models."""

import sqlalchemy as sa
from alembic import op

revision = "0005_scans"
down_revision = "0004_policies"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "artifact_scans",
        sa.Column("digest", sa.String(length=80), nullable=False),
        sa.Column("name", sa.String(length=500), nullable=False),
        sa.Column("scanner", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("found", sa.JSON(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("digest", "name", "scanner", name=op.f("pk_artifact_scans")),
    )
    op.add_column("model_versions", sa.Column("scanned", sa.JSON(none_as_null=True), nullable=True))
