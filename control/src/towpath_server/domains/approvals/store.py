"""Queries of approvals."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import and_, or_, select

from towpath_server.core import queries
from towpath_server.core.access import Reach
from towpath_server.core.db import Tx
from towpath_server.core.paging import Window
from towpath_server.domains.approvals.models import Answer, Approval, Decision, Filter, State
from towpath_server.domains.approvals.tables import approvals


async def insert(tx: Tx, approval: Approval) -> None:
    """Add a request."""
    values = asdict(approval)
    values.pop("team")
    await tx.execute(approvals.insert().values(**_written(values)))


async def find(tx: Tx, ref: str) -> Approval | None:
    """Find a request by id."""
    row = (await tx.execute(select(approvals).where(approvals.c.id == ref))).first()
    return _approval(row) if row else None


async def page(tx: Tx, reach: Reach, wanted: Filter, window: Window) -> list[Approval]:
    """List one request more than the window has, newest first."""
    columns = approvals.c
    query = select(approvals).where(
        queries.within(reach, team=columns.team_id, project=columns.project_id)
    )
    if wanted.kind is not None:
        query = query.where(columns.kind == wanted.kind)
    if wanted.state is not None:
        query = query.where(_stands(wanted.state, tx.now_ms))
    if window.after is not None:
        query = query.where(columns.id < window.after)
    rows = await tx.execute(query.order_by(columns.id.desc()).limit(window.limit + 1))
    return [_approval(row) for row in rows]


async def about(
    tx: Tx, *, subject_id: str, name: str, environment: str, but: str | None = None
) -> list[Approval]:
    """List the open requests that start from a deployment, or would change it."""
    columns = approvals.c
    query = select(approvals).where(
        columns.state == State.PENDING,
        or_(
            columns.subject_id == subject_id,
            and_(columns.name == name, columns.environment == environment),
        ),
    )
    if but is not None:
        query = query.where(columns.id != but)
    return [_approval(row) for row in await tx.execute(query)]


async def given(
    tx: Tx, kind: str, *, team_id: str, project_id: str, environment: str
) -> list[Approval]:
    """List the requests of a kind that were agreed to for a project's environment."""
    columns = approvals.c
    query = select(approvals).where(
        columns.team_id == team_id,
        columns.project_id == project_id,
        columns.environment == environment,
        columns.kind == kind,
        columns.state == State.APPROVED,
    )
    return [_approval(row) for row in await tx.execute(query)]


async def change(tx: Tx, approval: Approval, values: Mapping[str, Any]) -> None:
    """Write what was decided."""
    await queries.change(tx, approvals, approval.id, approval.revision, _written(values))


def _stands(state: State, now_ms: int) -> Any:
    columns = approvals.c
    if state is State.PENDING:
        return and_(columns.state == State.PENDING, columns.expires_at_ms > now_ms)
    if state is State.EXPIRED:
        return and_(columns.state == State.PENDING, columns.expires_at_ms <= now_ms)
    return columns.state == state


def _written(values: Mapping[str, Any]) -> dict[str, Any]:
    written = dict(values)
    if "decisions" in written:
        listed = written["decisions"]
        written["decisions"] = [one if isinstance(one, dict) else asdict(one) for one in listed]
    return written


def _approval(row: Any) -> Approval:
    fields: dict[str, Any] = row._asdict()
    fields["state"] = State(row.state)
    fields["decisions"] = tuple(_decision(one) for one in row.decisions)
    return Approval(**fields)


def _decision(stored: Mapping[str, Any]) -> Decision:
    fields: dict[str, Any] = {**stored, "answer": Answer(stored["answer"])}
    return Decision(**fields)
