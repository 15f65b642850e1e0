"""connections, and imports with their files."""

import sqlalchemy as sa
from alembic import op

revision = "0011_imports"
down_revision = "0010_environments"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "connections",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("team_id", sa.String(64), nullable=True),
        sa.Column("location", sa.String(500), nullable=False),
        sa.Column("endpoint", sa.String(2000), nullable=True),
        sa.Column("region", sa.String(63), nullable=True),
        sa.Column("username", sa.String(200), nullable=True),
        sa.Column("credential_id", sa.String(64), nullable=True),
        sa.Column("credential_sealed", sa.Text(), nullable=True),
        sa.Column("ca_pem", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_connections"),
        sa.UniqueConstraint("name", name="uq_connections_name"),
    )
    op.create_index("ix_connections_team_id", "connections", ["team_id"])
    op.create_table(
        "imports",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("model", sa.String(63), nullable=False),
        sa.Column("team_id", sa.String(64), nullable=False),
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("uri", sa.String(2000), nullable=False),
        sa.Column("active", sa.String(64), nullable=True),
        sa.Column("format", sa.String(63), nullable=True),
        sa.Column("licence", sa.String(200), nullable=True),
        sa.Column("card", sa.Text(), nullable=True),
        sa.Column("tags", sa.JSON(), nullable=False),
        sa.Column("phase", sa.String(16), nullable=False),
        sa.Column("by_kind", sa.String(32), nullable=False),
        sa.Column("by_id", sa.String(64), nullable=False),
        sa.Column("by_name", sa.String(500), nullable=False),
        sa.Column("pinned", sa.String(2000), nullable=True),
        sa.Column("fingerprint", sa.String(80), nullable=True),
        sa.Column("bytes_done", sa.BigInteger(), nullable=False),
        sa.Column("bytes_total", sa.BigInteger(), nullable=True),
        sa.Column("files_done", sa.Integer(), nullable=False),
        sa.Column("files_total", sa.Integer(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=True),
        sa.Column("trouble", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("retry_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("ended_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("cancelled", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_imports"),
        sa.UniqueConstraint("active", name="uq_imports_active"),
    )
    op.create_index("ix_imports_ended_at_ms", "imports", ["ended_at_ms"])
    op.create_index("ix_imports_model_id", "imports", ["model", "id"])
    op.create_index("ix_imports_team_id_id", "imports", ["team_id", "id"])
    op.create_index("ix_imports_project_id_id", "imports", ["project_id", "id"])
    op.create_table(
        "import_files",
        sa.Column("import_id", sa.String(64), nullable=False),
        sa.Column("path", sa.String(500), nullable=False),
        sa.Column("digest", sa.String(80), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("upload", sa.String(64), nullable=True),
        sa.Column("stored", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["import_id"], ["imports.id"], name="fk_import_files_import_id", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("import_id", "path", name="pk_import_files"),
    )
    op.create_index("ix_import_files_digest", "import_files", ["digest"])
