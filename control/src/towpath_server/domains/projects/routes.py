"""Routes of projects and applications."""

from typing import Annotated

from fastapi import Query

from towpath_server.core.errors import Forbidden, InUse, NameTaken, NotFound, RevisionConflict
from towpath_server.domains.projects import service as projects
from towpath_server.domains.projects.schemas import (
    ApplicationCreate,
    ApplicationOut,
    ApplicationUpdate,
    ProjectCreate,
    ProjectOut,
    ProjectUpdate,
)
from towpath_server.domains.projects.service import applications
from towpath_server.web import edge
from towpath_server.web.deps import Caller, IfMatch, Paging, ReadTx, WriteTx
from towpath_server.web.paging import Page
from towpath_server.web.problems import problems
from towpath_server.web.schemas import Ref

router = edge.router("project", "/projects")
application_router = edge.router("application", "/applications")


@router.post("", status_code=201, responses=problems(NotFound, Forbidden, NameTaken))
async def create(body: ProjectCreate, caller: Caller, tx: WriteTx) -> ProjectOut:
    """Create a project in a team."""
    return ProjectOut.of(await projects.create(tx, caller, team=body.team, name=body.name))


@router.get("", responses=problems(Forbidden, NotFound))
async def list(  # noqa: A001
    caller: Caller,
    tx: ReadTx,
    window: Paging,
    team: Annotated[Ref | None, Query(description="Name or id of the team.")] = None,
) -> Page[ProjectOut]:
    """List the projects that you may see."""
    return Page.of(await projects.list(tx, caller, window, team=team), ProjectOut.of)


@router.get("/{project:path}", responses=problems(NotFound))
async def get(project: Ref, caller: Caller, tx: ReadTx) -> ProjectOut:
    """Return a project, by id or as `team/project`."""
    return ProjectOut.of(await projects.resolve(tx, caller, project))


@router.patch(
    "/{project:path}", responses=problems(NotFound, Forbidden, NameTaken, RevisionConflict)
)
async def update(
    project: Ref, body: ProjectUpdate, caller: Caller, tx: WriteTx, if_match: IfMatch
) -> ProjectOut:
    """Rename a project, or change what is kept of its requests."""
    changed = await projects.update(
        tx,
        caller,
        project,
        name=body.name,
        body_log=body.body_log.model() if body.body_log else None,
        if_match=if_match,
    )
    return ProjectOut.of(changed)


@router.delete(
    "/{project:path}",
    status_code=204,
    responses=problems(NotFound, Forbidden, InUse, RevisionConflict),
)
async def delete(project: Ref, caller: Caller, tx: WriteTx, if_match: IfMatch) -> None:
    """Delete a project that nothing uses any more."""
    await projects.delete(tx, caller, project, if_match=if_match)


@application_router.post("", status_code=201, responses=problems(NotFound, Forbidden, NameTaken))
async def create_application(
    body: ApplicationCreate, caller: Caller, tx: WriteTx
) -> ApplicationOut:
    """Register an application, so that its calls are told apart."""
    about = {"owner": body.owner, "contact": body.contact, "use_case": body.use_case}
    created = await applications.create(
        tx, caller, project=body.project, name=body.name, about=about
    )
    return ApplicationOut.of(created)


@application_router.get("", responses=problems(Forbidden, NotFound))
async def list_applications(
    caller: Caller,
    tx: ReadTx,
    window: Paging,
    project: Annotated[Ref | None, Query(description="`team/project`, or the id.")] = None,
) -> Page[ApplicationOut]:
    """List the applications that you may see."""
    found = await applications.list(tx, caller, window, project=project)
    return Page.of(found, ApplicationOut.of)


@application_router.get("/{application}", responses=problems(NotFound))
async def get_application(application: Ref, caller: Caller, tx: ReadTx) -> ApplicationOut:
    """Return an application."""
    return ApplicationOut.of(await applications.get(tx, caller, application))


@application_router.patch(
    "/{application}", responses=problems(NotFound, Forbidden, NameTaken, RevisionConflict)
)
async def update_application(
    application: Ref, body: ApplicationUpdate, caller: Caller, tx: WriteTx, if_match: IfMatch
) -> ApplicationOut:
    """Change an application."""
    changed = await applications.update(
        tx, caller, application, changes=body.changes(), if_match=if_match
    )
    return ApplicationOut.of(changed)


@application_router.delete(
    "/{application}",
    status_code=204,
    responses=problems(NotFound, Forbidden, InUse, RevisionConflict),
)
async def delete_application(
    application: Ref, caller: Caller, tx: WriteTx, if_match: IfMatch
) -> None:
    """Delete an application that no key names."""
    await applications.delete(tx, caller, application, if_match=if_match)
