"""Rules of projects (here) and their applications (`service.applications`)."""

from collections.abc import Collection, Sequence
from dataclasses import asdict, replace
from typing import Any

from towpath_server.core import ids as new_ids
from towpath_server.core import revision, uses
from towpath_server.core.access import Principal, Verb
from towpath_server.core.db import Tx
from towpath_server.core.errors import NameTaken, NotFound
from towpath_server.core.paging import Slice, Window
from towpath_server.domains.audit import service as audit
from towpath_server.domains.projects import store
from towpath_server.domains.projects.models import BodyLog, Project
from towpath_server.domains.teams import service as teams

_SHOWN = 5  # names of projects that keep a team from being deleted


async def create(tx: Tx, caller: Principal, *, team: str, name: str) -> Project:
    """
    Create a project in a team.

    Raises:
        NotFound: There is no such team that the caller may see.
        Forbidden: The caller does not develop in it.
        NameTaken: The team has a project of this name.
    """
    owner = await teams.get(tx, caller, team)
    caller.require(Verb.CREATE, "project", team=owner.id)
    await _ensure_free(tx, owner.id, owner.name, name)
    project = Project(new_ids.new("prj"), 1, tx.now_ms, tx.now_ms, owner.id, name, owner.name)
    await store.insert(tx, project)
    await revision.bump(tx, "project", project.id)
    await _audit(tx, caller, "project.created", project)
    return project


async def find(tx: Tx, ref: str) -> Project | None:
    """Find a project by id or as `team/project`, whoever asks."""
    if new_ids.is_id(ref, "prj"):
        project = await store.get(tx, ref)
        return (await _named(tx, [project]))[0] if project else None
    team_name, separator, name = ref.partition("/")
    team = await teams.find(tx, team_name) if separator else None
    project = await store.find(tx, team.id, name) if team else None
    return replace(project, team_name=team.name) if project and team else None


async def resolve(
    tx: Tx, caller: Principal, ref: str, *, verb: Verb = Verb.READ, noun: str = "project"
) -> Project:
    """
    Return the project that a caller names, by id or as `team/project`.

    Args:
        verb: What the caller is about to do there…
        noun: …and to what: `CREATE` and `key` asks whether the caller may create keys in it.

    Raises:
        NotFound: There is none that the caller may see.
        Forbidden: The caller may see it, and may not `verb` a `noun` in it.
    """
    project = await find(tx, ref)
    if project is None:
        hint = None if "/" in ref or new_ids.is_id(ref, "prj") else "Write it as `team/project`."
        raise NotFound("project", ref, fix=hint)
    caller.require(Verb.READ, "project", team=project.team_id, project=project.id, ref=ref)
    caller.require(verb, noun, team=project.team_id, project=project.id)
    return project


async def get_by_id(tx: Tx, id: str) -> Project:  # noqa: A002
    """
    Return a project by id, whoever asks.

    Raises:
        NotFound: There is none.
    """
    project = await store.get(tx, id)
    if project is None:
        raise NotFound("project", id)
    return (await _named(tx, [project]))[0]


async def list(  # noqa: A001
    tx: Tx, caller: Principal, window: Window, *, team: str | None = None
) -> Slice[Project]:
    """
    List the projects that the caller may see, of all teams or of one.

    Raises:
        NotFound: There is no such team that the caller may see.
    """
    reach = caller.reach("project")
    team_id = (await teams.get(tx, caller, team)).id if team is not None else None
    rows = await store.page(tx, reach, window, team=team_id)
    return Slice.cut(await _named(tx, rows), window)


async def update(
    tx: Tx,
    caller: Principal,
    ref: str,
    *,
    name: str | None,
    body_log: BodyLog | None = None,
    if_match: int | None,
) -> Project:
    """
    Rename a project, or change what is kept of its requests.

    Raises:
        NotFound: There is none that the caller may see.
        Forbidden: The caller does not develop in it.
        RevisionConflict: It is no longer at `if_match`.
        NameTaken: The team has a project of this name.
    """
    project = await resolve(tx, caller, ref, verb=Verb.UPDATE)
    revision.match(if_match, project.revision)
    news: dict[str, Any] = {}
    if name is not None and name != project.name:
        await _ensure_free(tx, project.team_id, project.team_name, name)
        news["name"] = name
    if body_log is not None and body_log != project.body_log:
        news["body_log"] = body_log
    if not news:
        return project
    await store.change(tx, project, news)
    await revision.bump(tx, "project", project.id)
    if "name" in news:
        await uses.renamed(tx, "project", project.id)
    changed = replace(project, **news, revision=project.revision + 1, updated_at_ms=tx.now_ms)
    shown = {
        name: asdict(value) if isinstance(value, BodyLog) else value for name, value in news.items()
    }
    await _audit(tx, caller, "project.updated", changed, **shown)
    return changed


async def delete(tx: Tx, caller: Principal, ref: str, *, if_match: int | None) -> None:
    """
    Delete a project that nothing uses any more; its applications go with it.

    Raises:
        NotFound: There is none that the caller may see.
        Forbidden: The caller does not administer its team.
        RevisionConflict: It is no longer at `if_match`.
        InUse: It has keys, models, deployments or endpoints.
    """
    project = await resolve(tx, caller, ref, verb=Verb.DELETE)
    revision.match(if_match, project.revision)
    await uses.ensure_none(tx, "project", project.id, project.path)
    await uses.release(tx, "project", project.id)
    await store.delete(tx, project)
    await revision.bump(tx, "project", project.id)
    await _audit(tx, caller, "project.deleted", project)


async def names(tx: Tx, wanted: Collection[str]) -> dict[str, str]:
    """Return the paths (`team/project`) of projects by id, whoever asks."""
    if not wanted:
        return {}
    found = await _named(tx, await store.rows(tx, wanted=wanted))
    return {project.id: project.path for project in found}


async def application_names(tx: Tx, wanted: Collection[str]) -> dict[str, str]:
    """Return the names of applications by id, whoever asks."""
    return await store.application_names(tx, wanted) if wanted else {}


async def routed(
    tx: Tx, *, ids: Collection[str] | None = None, after: str = "", limit: int = 5_000
) -> Sequence[Project]:
    """List what the routing table holds: these projects, or all after an id, in order of id."""
    return await store.rows(tx, wanted=ids, after=after, limit=limit)


@uses.of("team")
async def _projects_of(tx: Tx, team: str) -> Sequence[str]:
    return [f"project {name}" for name in await store.names_in(tx, team, _SHOWN)]


async def _named(tx: Tx, found: Sequence[Project]) -> Sequence[Project]:
    named = await teams.names(tx, {project.team_id for project in found})
    return [replace(project, team_name=named[project.team_id]) for project in found]


async def _ensure_free(tx: Tx, team_id: str, team_name: str, name: str) -> None:
    if await store.find(tx, team_id, name) is not None:
        raise NameTaken("project", name, owner=f"team `{team_name}`")


async def _audit(
    tx: Tx, caller: Principal, action: str, project: Project, **changes: object
) -> None:
    await audit.append(
        tx,
        caller,
        action=action,
        noun="project",
        id=project.id,
        team=project.team_id,
        changes={"name": project.name, **changes},
    )
