"""Applications of projects."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from towpath_server.core import ids, revision, uses
from towpath_server.core.access import Principal, Verb
from towpath_server.core.db import Tx
from towpath_server.core.errors import NameTaken, NotFound
from towpath_server.core.paging import Slice, Window
from towpath_server.domains.audit import service as audit
from towpath_server.domains.projects import service as projects
from towpath_server.domains.projects import store
from towpath_server.domains.projects.models import Application


async def create(
    tx: Tx, caller: Principal, *, project: str, name: str, about: Mapping[str, str | None]
) -> Application:
    """
    Register an application in a project.

    Args:
        about: `owner`, `contact` and `use_case`, as far as known.

    Raises:
        NotFound: There is no such project that the caller may see.
        Forbidden: The caller does not develop in it.
        NameTaken: The project has an application of this name.
    """
    home = await projects.resolve(tx, caller, project, verb=Verb.CREATE, noun="application")
    await _ensure_free(tx, home.id, name)
    application = Application(
        ids.new("app"),
        1,
        tx.now_ms,
        tx.now_ms,
        home.team_id,
        home.id,
        name,
        about.get("owner"),
        about.get("contact"),
        about.get("use_case"),
    )
    await store.insert_application(tx, application)
    await _audit(tx, caller, "application.created", application, {"name": name, **about})
    return application


async def get(tx: Tx, caller: Principal, ref: str, *, verb: Verb = Verb.READ) -> Application:
    """
    Return an application by id.

    Raises:
        NotFound: There is none that the caller may see.
        Forbidden: The caller may see it, and may not `verb` it.
    """
    application = await store.get_application(tx, ref)
    if application is None:
        raise NotFound("application", ref)
    caller.require(
        verb,
        "application",
        team=application.team_id,
        project=application.project_id,
        ref=ref,
    )
    return application


async def find_in(tx: Tx, project_id: str, ref: str) -> Application:
    """
    Return a project's application by id or name, whoever asks.

    Raises:
        NotFound: The project has none of this id or name.
    """
    if ids.is_id(ref, "app"):
        application = await store.get_application(tx, ref)
    else:
        application = await store.find_application(tx, project_id, ref)
    if application is None or application.project_id != project_id:
        raise NotFound("application", ref, fix="Name an application of the key's own project.")
    return application


async def list(  # noqa: A001
    tx: Tx, caller: Principal, window: Window, *, project: str | None = None
) -> Slice[Application]:
    """
    List the applications that the caller may see, of all projects or of one.

    Raises:
        NotFound: There is no such project that the caller may see.
    """
    reach = caller.reach("application")
    home = await projects.resolve(tx, caller, project) if project is not None else None
    rows = await store.page_applications(tx, reach, window, project=home.id if home else None)
    return Slice.cut(rows, window)


async def update(
    tx: Tx, caller: Principal, ref: str, *, changes: Mapping[str, Any], if_match: int | None
) -> Application:
    """
    Change name, owner, contact or use case.

    Raises:
        NotFound: There is none that the caller may see.
        Forbidden: The caller does not develop in its project.
        RevisionConflict: It is no longer at `if_match`.
        NameTaken: The project has an application of this name.
    """
    application = await get(tx, caller, ref, verb=Verb.UPDATE)
    revision.match(if_match, application.revision)
    news = {name: value for name, value in changes.items() if getattr(application, name) != value}
    if not news:
        return application
    if "name" in news:
        await _ensure_free(tx, application.project_id, news["name"])
    await store.change_application(tx, application, news)
    await _audit(tx, caller, "application.updated", application, news)
    return replace(application, **news, revision=application.revision + 1, updated_at_ms=tx.now_ms)


async def delete(tx: Tx, caller: Principal, ref: str, *, if_match: int | None) -> None:
    """
    Delete an application that no key names.

    Raises:
        NotFound: There is none that the caller may see.
        Forbidden: The caller does not develop in its project.
        RevisionConflict: It is no longer at `if_match`.
        InUse: Keys name it.
    """
    application = await get(tx, caller, ref, verb=Verb.DELETE)
    revision.match(if_match, application.revision)
    await uses.ensure_none(tx, "application", application.id, application.name)
    await store.delete_application(tx, application)
    await _audit(tx, caller, "application.deleted", application, None)


async def _ensure_free(tx: Tx, project: str, name: str) -> None:
    if await store.find_application(tx, project, name) is not None:
        raise NameTaken("application", name, owner="this project")


async def _audit(
    tx: Tx,
    caller: Principal,
    action: str,
    application: Application,
    changes: Mapping[str, Any] | None,
) -> None:
    await audit.append(
        tx,
        caller,
        action=action,
        noun="application",
        id=application.id,
        team=application.team_id,
        changes=changes,
    )
