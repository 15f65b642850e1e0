"""Queries of projects and applications."""

from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy import delete as sql_delete
from sqlalchemy import select

from towpath_server.core import queries
from towpath_server.core.access import Reach
from towpath_server.core.db import Tx
from towpath_server.core.paging import Window
from towpath_server.domains.projects.models import (
    Application,
    BodyLog,
    BodyMode,
    Project,
    Redaction,
)
from towpath_server.domains.projects.tables import applications, projects


async def insert(tx: Tx, project: Project) -> None:
    """Add a project."""
    values: dict[str, Any] = asdict(project)
    del values["team_name"], values["body_log"]
    await tx.execute(projects.insert().values(**values))


async def get(tx: Tx, id: str) -> Project | None:  # noqa: A002
    """Find a project by id."""
    row = (await tx.execute(select(projects).where(projects.c.id == id))).first()
    return _project(row) if row else None


async def find(tx: Tx, team: str, name: str) -> Project | None:
    """Find a team's project by name."""
    query = select(projects).where(projects.c.team_id == team, projects.c.name == name)
    row = (await tx.execute(query)).first()
    return _project(row) if row else None


async def page(tx: Tx, reach: Reach, window: Window, *, team: str | None) -> list[Project]:
    """List one project more than the window has."""
    within = queries.within(reach, team=projects.c.team_id, project=projects.c.id)
    query = select(projects).where(within)
    if team is not None:
        query = query.where(projects.c.team_id == team)
    rows = await tx.execute(queries.windowed(query, window, projects.c.id))
    return [_project(row) for row in rows]


async def rows(
    tx: Tx, *, wanted: Collection[str] | None, after: str = "", limit: int = 5_000
) -> list[Project]:
    """List projects by id, or all after one, in order of id and whoever asks."""
    query = select(projects)
    if wanted is None:
        query = query.where(projects.c.id > after).order_by(projects.c.id).limit(limit)
    else:
        query = query.where(projects.c.id.in_(sorted(wanted)))
    return [_project(row) for row in await tx.execute(query)]


async def names_in(tx: Tx, team: str, limit: int) -> list[str]:
    """List the names of a few of a team's projects."""
    query = select(projects.c.name).where(projects.c.team_id == team).limit(limit)
    return list((await tx.execute(query)).scalars())


async def change(tx: Tx, project: Project, values: Mapping[str, Any]) -> None:
    """Change name or body log."""
    written = dict(values)
    if "body_log" in written:
        written["body_log"] = asdict(written["body_log"])
    await queries.change(tx, projects, project.id, project.revision, written)


async def delete(tx: Tx, project: Project) -> None:
    """Remove a project, with its applications."""
    await tx.execute(sql_delete(applications).where(applications.c.project_id == project.id))
    await queries.remove(tx, projects, project.id, project.revision)


async def insert_application(tx: Tx, application: Application) -> None:
    """Add an application."""
    await tx.execute(applications.insert().values(**asdict(application)))


async def get_application(tx: Tx, id: str) -> Application | None:  # noqa: A002
    """Find an application by id."""
    row = (await tx.execute(select(applications).where(applications.c.id == id))).first()
    return Application(**row._asdict()) if row else None


async def find_application(tx: Tx, project: str, name: str) -> Application | None:
    """Find a project's application by name."""
    query = select(applications).where(
        applications.c.project_id == project, applications.c.name == name
    )
    row = (await tx.execute(query)).first()
    return Application(**row._asdict()) if row else None


async def page_applications(
    tx: Tx, reach: Reach, window: Window, *, project: str | None
) -> list[Application]:
    """List one application more than the window has."""
    within = queries.within(reach, team=applications.c.team_id, project=applications.c.project_id)
    query = select(applications).where(within)
    if project is not None:
        query = query.where(applications.c.project_id == project)
    rows = await tx.execute(queries.windowed(query, window, applications.c.id))
    return [Application(**row._asdict()) for row in rows]


async def application_names(tx: Tx, wanted: Collection[str]) -> dict[str, str]:
    """Return the names of applications by id."""
    query = select(applications.c.id, applications.c.name).where(
        applications.c.id.in_(sorted(wanted))
    )
    return {row.id: row.name for row in await tx.execute(query)}


async def change_application(tx: Tx, application: Application, values: dict[str, Any]) -> None:
    """Change an application."""
    await queries.change(tx, applications, application.id, application.revision, values)


async def delete_application(tx: Tx, application: Application) -> None:
    """Remove an application."""
    await queries.remove(tx, applications, application.id, application.revision)


def _project(row: Any) -> Project:
    values = row._asdict()
    found = values.pop("body_log")
    if found is None:
        return Project(**values)
    redact = tuple(Redaction(**one) for one in found["redact"])
    return Project(**values, body_log=BodyLog(BodyMode(found["mode"]), redact, found["days"]))
