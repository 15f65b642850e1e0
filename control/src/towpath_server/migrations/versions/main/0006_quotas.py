"""quotas."""

import sqlalchemy as sa
from alembic import op

revision = "0006_quotas"
down_revision = "0005_scans"
branch_labels = None
depends_on = None

_BATCH = 500


def upgrade() -> None:
    op.create_table(
        "quotas",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("team_id", sa.String(length=64), nullable=False),
        sa.Column("environment", sa.String(length=32), nullable=False),
        sa.Column("replicas", sa.Integer(), nullable=True),
        sa.Column("cpu_milli", sa.BigInteger(), nullable=True),
        sa.Column("memory_bytes", sa.BigInteger(), nullable=True),
        sa.Column("gpus", sa.JSON(none_as_null=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_quotas")),
        sa.UniqueConstraint("team_id", "environment", name=op.f("uq_quotas_team_id_environment")),
    )
    table = "deployment_revisions"
    op.add_column(
        table, sa.Column("cpu_milli", sa.BigInteger(), server_default="0", nullable=False)
    )
    op.add_column(table, sa.Column("gpus", sa.Integer(), server_default="0", nullable=False))
    op.add_column(table, sa.Column("gpu_class", sa.String(length=63), nullable=True))
    _fill()


def _fill() -> None:
    """Read out of what each revision started what it has held since."""
    rows = sa.table(
        "deployment_revisions",
        sa.column("deployment_id"),
        sa.column("number"),
        sa.column("workload", sa.JSON()),
        sa.column("serving", sa.JSON()),
        sa.column("cpu_milli"),
        sa.column("gpus"),
        sa.column("gpu_class"),
    )
    bind = op.get_bind()
    after: tuple[str, int] = ("", 0)
    while True:
        found = bind.execute(
            sa.select(rows.c.deployment_id, rows.c.number, rows.c.workload, rows.c.serving)
            .where(sa.tuple_(rows.c.deployment_id, rows.c.number) > sa.tuple_(*after))
            .order_by(rows.c.deployment_id, rows.c.number)
            .limit(_BATCH)
        ).all()
        for row in found:
            gpus = (row.serving.get("handling") or {}).get("gpus") or 0
            bind.execute(
                rows.update()
                .where(rows.c.deployment_id == row.deployment_id, rows.c.number == row.number)
                .values(
                    cpu_milli=int(row.workload["threads"]) * 1000,
                    gpus=gpus,
                    gpu_class="gpu" if gpus else None,
                )
            )
        if len(found) < _BATCH:
            return
        after = (found[-1].deployment_id, found[-1].number)
