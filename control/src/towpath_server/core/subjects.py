"""
Queries of tables whose rows hold for a subject: a key, project, team, endpoint, or two of them.

Limits and budgets ask the same of their tables; what a row is stays theirs. Such a table has the
columns of a resource, `<part>_id` of each part, and the team and project that own the row.
"""

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import Column, Delete, Select, Table, delete, or_, select

from towpath_server.core import queries
from towpath_server.core.access import Reach
from towpath_server.core.paging import Window


def page(table: Table, reach: Reach, subject: Mapping[str, str], window: Window) -> Select[Any]:
    """Select one row more than the window has; `subject` narrows to these parts."""
    within = queries.within(reach, team=table.c.owner_team_id, project=table.c.owner_project_id)
    query = select(table).where(within)
    for part, value in subject.items():
        query = query.where(_part(table, part) == value)
    return queries.windowed(query, window, table.c.id)


def rows(table: Table, *, wanted: Collection[str] | None, after: str, limit: int) -> Select[Any]:
    """Select rows by id, or all after one, in order of id and whoever asks."""
    if wanted is None:
        return select(table).where(table.c.id > after).order_by(table.c.id).limit(limit)
    return select(table).where(table.c.id.in_(sorted(wanted)))


def naming(table: Table, part: str, id_: str) -> Select[Any]:
    """Select the rows whose subject has this part."""
    return select(table).where(_part(table, part) == id_)


def worded_by(table: Table, part: str, id_: str) -> Select[Any]:
    """Select the ids of rows whose words have the name of this key, project or team."""
    condition = _part(table, part) == id_
    if part == "project":  # a key's words name its project
        condition = or_(condition, table.c.owner_project_id == id_)
    elif part == "team":  # a project's words name its team
        condition = or_(condition, table.c.owner_team_id == id_)
    return select(table.c.id).where(condition)


def removal(table: Table, ids: Collection[str]) -> Delete:
    """Delete rows by id."""
    return delete(table).where(table.c.id.in_(sorted(ids)))


def _part(table: Table, part: str) -> Column[Any]:
    return table.c[f"{part}_id"]
