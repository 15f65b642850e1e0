"""approvals, exposures, records of deployments, expiry."""

import sqlalchemy as sa
from alembic import op

revision = "0010_environments"
down_revision = "0009_registry"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "approvals",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("updated_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("team_id", sa.String(64), nullable=False),
        sa.Column("project_id", sa.String(64), nullable=True),
        sa.Column("environment", sa.String(32), nullable=True),
        sa.Column("name", sa.String(63), nullable=True),
        sa.Column("subject_id", sa.String(64), nullable=True),
        sa.Column("digest", sa.String(80), nullable=True),
        sa.Column("summary", sa.Text(), nullable=False),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("requested_by", sa.String(64), nullable=False),
        sa.Column("requested_by_name", sa.String(500), nullable=False),
        sa.Column("needed", sa.Integer(), nullable=False),
        sa.Column("expires_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("decisions", sa.JSON(), nullable=False),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("result", sa.JSON(none_as_null=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_approvals"),
    )
    op.create_index("ix_approvals_team_id_id", "approvals", ["team_id", "id"])
    op.create_index("ix_approvals_state_subject_id", "approvals", ["state", "subject_id"])
    op.create_index(
        "ix_approvals_state_name_environment", "approvals", ["state", "name", "environment"]
    )
    op.create_table(
        "exposures",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("deployment_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("environment", sa.String(32), nullable=False),
        sa.Column("team_id", sa.String(64), nullable=False),
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("model", sa.String(63), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("digest", sa.String(80), nullable=False),
        sa.Column("runtime", sa.String(63), nullable=False),
        sa.Column("from_ms", sa.BigInteger(), nullable=False),
        sa.Column("until_ms", sa.BigInteger(), nullable=True),
        sa.Column("origin", sa.JSON(none_as_null=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_exposures"),
    )
    op.create_index(
        "ix_exposures_model_environment_from_ms", "exposures", ["model", "environment", "from_ms"]
    )
    op.create_index(
        "ix_exposures_deployment_id_until_ms", "exposures", ["deployment_id", "until_ms"]
    )
    op.create_table(
        "deployment_records",
        sa.Column("deployment_id", sa.String(64), nullable=False),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("environment", sa.String(32), nullable=False),
        sa.Column("team_id", sa.String(64), nullable=False),
        sa.Column("project_id", sa.String(64), nullable=False),
        sa.Column("created_at_ms", sa.BigInteger(), nullable=False),
        sa.Column("hand", sa.String(32), nullable=True),
        sa.Column("first_ready_at_ms", sa.BigInteger(), nullable=True),
        sa.Column("trouble", sa.String(200), nullable=True),
        sa.Column("ended_at_ms", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("deployment_id", name="pk_deployment_records"),
    )
    op.create_index("ix_deployment_records_created_at_ms", "deployment_records", ["created_at_ms"])
    op.create_index(
        "ix_deployment_records_team_id_created_at_ms",
        "deployment_records",
        ["team_id", "created_at_ms"],
    )
    op.add_column("deployments", sa.Column("expires_at_ms", sa.BigInteger(), nullable=True))
    op.add_column("deployments", sa.Column("warned_at_ms", sa.BigInteger(), nullable=True))
    op.create_index("ix_deployments_expires_at_ms", "deployments", ["expires_at_ms"])
    op.add_column(
        "deployment_revisions", sa.Column("origin", sa.JSON(none_as_null=True), nullable=True)
    )
    _remember(op.get_bind())


def _remember(connection: sa.Connection) -> None:
    """Let the history begin with what there is: each deployment, and what serves."""
    deployments = sa.table(
        "deployments",
        *(
            sa.column(name)
            for name in (
                "id",
                "name",
                "environment",
                "team_id",
                "project_id",
                "serving",
                "created_at_ms",
                "first_ready_at_ms",
            )
        ),
    )
    revisions = sa.table(
        "deployment_revisions",
        sa.column("deployment_id"),
        sa.column("number"),
        sa.column("workload", sa.JSON()),
        sa.column("created_at_ms"),
    )
    of = ("name", "environment", "team_id", "project_id")
    records = sa.table(
        "deployment_records",
        *(sa.column(name) for name in ("deployment_id", *of, "created_at_ms", "first_ready_at_ms")),
    )
    exposures = sa.table(
        "exposures",
        *(
            sa.column(name)
            for name in (
                *("id", "deployment_id", *of),
                *("number", "model", "version", "digest", "runtime", "from_ms"),
            )
        ),
    )
    for found in connection.execute(sa.select(deployments)).all():
        shared = {name: getattr(found, name) for name in of}
        connection.execute(
            records.insert().values(
                deployment_id=found.id,
                created_at_ms=found.created_at_ms,
                first_ready_at_ms=found.first_ready_at_ms,
                **shared,
            )
        )
        serving = connection.execute(
            sa.select(revisions).where(
                revisions.c.deployment_id == found.id, revisions.c.number == found.serving
            )
        ).first()
        if serving is None:
            continue
        workload = serving.workload
        connection.execute(
            exposures.insert().values(
                id="exp" + found.id.removeprefix("dep"),
                deployment_id=found.id,
                number=found.serving,
                model=workload["model"],
                version=workload["version"],
                digest=workload["model_digest"],
                runtime=f"{workload['runtime']} {workload['runtime_version']}",
                from_ms=serving.created_at_ms,
                **shared,
            )
        )
