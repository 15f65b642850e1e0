"""Queries of policies and their history."""

from dataclasses import asdict
from typing import Any

from sqlalchemy import or_, select

from towpath_server.core import ids, queries
from towpath_server.core.access import Reach
from towpath_server.core.db import Tx
from towpath_server.core.paging import Window
from towpath_server.domains.policies.models import Mode, Policy, PolicyVersion
from towpath_server.domains.policies.tables import policies, policy_versions


async def insert(tx: Tx, policy: Policy) -> None:
    """Add a policy."""
    values = asdict(policy)
    values.pop("team")
    await tx.execute(policies.insert().values(**values))


async def change(tx: Tx, policy: Policy, mode: Mode, document: Any) -> None:
    """Replace what a policy says."""
    values = {"mode": mode, "document": document}
    await queries.change(tx, policies, policy.id, policy.revision, values)


async def remove(tx: Tx, policy: Policy) -> None:
    """Remove a policy; its history stays."""
    await queries.remove(tx, policies, policy.id, policy.revision)


async def find(tx: Tx, ref: str) -> Policy | None:
    """Find a policy by id or name."""
    column = policies.c.id if ids.is_id(ref, "pol") else policies.c.name
    row = (await tx.execute(select(policies).where(column == ref))).first()
    return _policy(row) if row else None


async def page(tx: Tx, reach: Reach, window: Window) -> list[Policy]:
    """List one policy more than the window has: the organisation's, and those within reach."""
    within = queries.within(reach, team=policies.c.team_id)
    query = select(policies).where(or_(policies.c.team_id.is_(None), within))
    rows = await tx.execute(queries.windowed(query, window, policies.c.id))
    return [_policy(row) for row in rows]


async def in_force(tx: Tx, team_id: str | None) -> list[Policy]:
    """List the organisation's policies and those of one team, the organisation's first."""
    owner = policies.c.team_id
    mine = owner.is_(None) if team_id is None else or_(owner.is_(None), owner == team_id)
    rows = await tx.execute(select(policies).where(mine).order_by(policies.c.name))
    return sorted((_policy(row) for row in rows), key=lambda found: found.team_id is not None)


async def of_team(tx: Tx, team_id: str) -> list[Policy]:
    """List the policies of one team."""
    rows = await tx.execute(select(policies).where(policies.c.team_id == team_id))
    return [_policy(row) for row in rows]


async def insert_version(tx: Tx, version: PolicyVersion) -> None:
    """Add to the history."""
    await tx.execute(policy_versions.insert().values(**asdict(version)))


async def versions(tx: Tx, policy_id: str, window: Window) -> list[PolicyVersion]:
    """List what a policy said, the newest first: one more than the window has."""
    columns = policy_versions.c
    query = select(policy_versions).where(columns.policy_id == policy_id)
    if window.after is not None and window.after.isdecimal():
        query = query.where(columns.number < int(window.after))
    rows = await tx.execute(query.order_by(columns.number.desc()).limit(window.limit + 1))
    return [_version(row) for row in rows]


async def known_names(tx: Tx) -> set[str]:
    """Return every name that a policy ever had."""
    return set((await tx.execute(select(policy_versions.c.name).distinct())).scalars())


def _policy(row: Any) -> Policy:
    fields: dict[str, Any] = row._asdict()
    fields["mode"] = Mode(row.mode)
    return Policy(**fields)


def _version(row: Any) -> PolicyVersion:
    fields: dict[str, Any] = row._asdict()
    fields["mode"] = Mode(row.mode)
    return PolicyVersion(**fields)
