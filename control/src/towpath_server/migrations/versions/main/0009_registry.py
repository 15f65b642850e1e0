"""registry: aliases with their log, tags, and what models are searched by."""

import sqlalchemy as sa
from alembic import op

revision = "0009_registry"
down_revision = "0008_proving"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(op.f("ix_model_versions_format"), "model_versions", ["format"])
    op.create_index(op.f("ix_model_versions_licence"), "model_versions", ["licence"])
    _tags("model_tags", "model_id", "models")
    _tags("model_version_tags", "version_id", "model_versions")
    op.create_table(
        "model_aliases",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("model_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["model_id"],
            ["models.id"],
            name=op.f("fk_model_aliases_model_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model_aliases")),
        sa.UniqueConstraint("model_id", "name", name=op.f("uq_model_aliases_model_id_name")),
    )
    op.create_table(
        "model_alias_moves",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("model_id", sa.String(length=64), nullable=False),
        sa.Column("alias", sa.String(length=63), nullable=False),
        sa.Column("from_number", sa.Integer(), nullable=True),
        sa.Column("to_number", sa.Integer(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("by_kind", sa.String(length=32), nullable=False),
        sa.Column("by_id", sa.String(length=64), nullable=False),
        sa.Column("by_name", sa.String(length=200), nullable=False),
        sa.Column("at_ms", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["model_id"],
            ["models.id"],
            name=op.f("fk_model_alias_moves_model_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_model_alias_moves")),
    )
    op.create_index(
        op.f("ix_model_alias_moves_model_id_alias_id"),
        "model_alias_moves",
        ["model_id", "alias", "id"],
    )


def _tags(name: str, column: str, owner: str) -> None:
    op.create_table(
        name,
        sa.Column(column, sa.String(length=64), nullable=False),
        sa.Column("key", sa.String(length=63), nullable=False),
        sa.Column("value", sa.String(length=256), nullable=False),
        sa.ForeignKeyConstraint(
            [column], [f"{owner}.id"], name=op.f(f"fk_{name}_{column}"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint(column, "key", name=op.f(f"pk_{name}")),
    )
    op.create_index(op.f(f"ix_{name}_key_value"), name, ["key", "value"])
