"""Queries of logged bodies."""

from collections.abc import Collection, Sequence
from dataclasses import asdict

from sqlalchemy import delete, select

from towpath_server.core.db import Tx
from towpath_server.domains.bodies.models import Entry
from towpath_server.domains.bodies.tables import bodies


async def insert(tx: Tx, entries: Sequence[Entry]) -> None:
    """Add entries; those that are there already change nothing."""
    statement = tx.insert(bodies).on_conflict_do_nothing()
    await tx.execute(statement, [asdict(entry) for entry in entries])


async def find(tx: Tx, request: str) -> Entry | None:
    """Find the bodies of a request."""
    row = (await tx.execute(select(bodies).where(bodies.c.request_id == request))).first()
    return Entry(**row._asdict()) if row else None


async def projects(tx: Tx) -> list[str]:
    """List the projects of which bodies are kept."""
    query = select(bodies.c.project_id).distinct().order_by(bodies.c.project_id)
    return list((await tx.execute(query)).scalars())


async def forget(tx: Tx, project: str, *, before_ms: int) -> int:
    """Remove what is older of a project; return how many went."""
    gone = delete(bodies).where(bodies.c.project_id == project, bodies.c.at_ms < before_ms)
    return (await tx.execute(gone)).rowcount


async def used(tx: Tx, digests: Collection[str]) -> set[str]:
    """Return which of some digests entries have."""
    query = select(bodies.c.digest).where(bodies.c.digest.in_(sorted(digests))).distinct()
    return set((await tx.execute(query)).scalars())
