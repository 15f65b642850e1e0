"""uploads that go on after a cut, and bytes on their way out."""

import sqlalchemy as sa
from alembic import op

revision = "0007_uploads"
down_revision = "0006_quotas"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "open_uploads",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("digest", sa.String(80), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("holders", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_open_uploads")),
        sa.UniqueConstraint(
            "owner", "digest", "size_bytes", name=op.f("uq_open_uploads_owner_digest_size_bytes")
        ),
    )
    op.create_index(op.f("ix_open_uploads_updated_at_ms"), "open_uploads", ["updated_at_ms"])
    op.create_table(
        "blob_removals",
        sa.Column("store", sa.String(16), nullable=False),
        sa.Column("digest", sa.String(80), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("store", "digest", name=op.f("pk_blob_removals")),
    )
