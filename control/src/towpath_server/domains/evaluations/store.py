"""Queries of evaluations."""

from dataclasses import asdict
from typing import Any

from sqlalchemy import or_, select

from towpath_server.core import queries
from towpath_server.core.access import Reach
from towpath_server.core.db import Tx
from towpath_server.core.paging import Window
from towpath_server.domains.evaluations.models import Evaluation, Metric, Verdict
from towpath_server.domains.evaluations.tables import evaluations


async def insert(tx: Tx, evaluation: Evaluation) -> None:
    """Add a result."""
    await tx.execute(evaluations.insert().values(**asdict(evaluation)))


async def find(tx: Tx, evaluation_id: str) -> Evaluation | None:
    """Find a result by id, whoever asks."""
    row = (await tx.execute(select(evaluations).where(evaluations.c.id == evaluation_id))).first()
    return _evaluation(row) if row else None


async def page(
    tx: Tx, reach: Reach, window: Window, *, model: str | None, suite: str | None
) -> list[Evaluation]:
    """List one result more than the window has, oldest first."""
    columns = evaluations.c
    own = queries.within(reach, team=columns.team_id, project=columns.project_id)
    query = select(evaluations).where(own)
    for column, value in ((columns.model, model), (columns.suite, suite)):
        if value is not None:
            query = query.where(column == value)
    rows = await tx.execute(queries.windowed(query, window, columns.id))
    return [_evaluation(row) for row in rows]


async def newest(
    tx: Tx, digest: str, suite: str, suite_version: str, *, runtime: str
) -> Evaluation | None:
    """Find the last result of a content in a suite, on this runtime or on any."""
    columns = evaluations.c
    query = select(evaluations).where(
        columns.digest == digest,
        columns.suite == suite,
        columns.suite_version == suite_version,
        or_(columns.runtime == runtime, columns.runtime.is_(None)),
    )
    row = (await tx.execute(query.order_by(columns.id.desc()).limit(1))).first()
    return _evaluation(row) if row else None


async def of_content(tx: Tx, digest: str, *, runtime: str, limit: int) -> list[Evaluation]:
    """List the results of a content on this runtime or on any, the newest first."""
    columns = evaluations.c
    query = select(evaluations).where(
        columns.digest == digest, or_(columns.runtime == runtime, columns.runtime.is_(None))
    )
    rows = await tx.execute(query.order_by(columns.id.desc()).limit(limit))
    return [_evaluation(row) for row in rows]


def _evaluation(row: Any) -> Evaluation:
    fields: dict[str, Any] = row._asdict()
    fields["metrics"] = {name: Metric(**metric) for name, metric in row.metrics.items()}
    fields["verdict"] = Verdict(row.verdict) if row.verdict else None
    return Evaluation(**fields)
