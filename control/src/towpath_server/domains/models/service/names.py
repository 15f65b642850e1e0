"""Names in the registry: who takes them, sees them, changes them."""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from towpath_server.core import ids, revision, suggest, uses
from towpath_server.core.access import Principal, Reach, Verb
from towpath_server.core.db import Tx
from towpath_server.core.errors import Finding, InvalidRequest, NameTaken, NotFound
from towpath_server.core.paging import Slice, Window
from towpath_server.domains.audit import service as audit
from towpath_server.domains.models import store
from towpath_server.domains.models.models import Model, Search, Visibility
from towpath_server.domains.projects import service as projects
from towpath_server.domains.projects.models import Project

_NAME = re.compile(r"[a-z0-9-]{1,63}")
MAX_TAGS = 64  # of one model or version: a person still reads them


async def create(
    tx: Tx,
    caller: Principal,
    *,
    name: str,
    project: str,
    visibility: Visibility = Visibility.PROJECT,
    description: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> Model:
    """
    Take a name in the registry.

    Raises:
        NotFound: There is no such project that the caller may see.
        Forbidden: The caller may not create models there.
        NameTaken: A model of the organisation has this name.
    """
    owner = await projects.resolve(tx, caller, project, verb=Verb.CREATE, noun="model")
    if await store.find(tx, name) is not None:
        raise NameTaken("model", name, owner="the organisation")
    return await insert(tx, caller, name, (owner, visibility), description=description, tags=tags)


async def owner_of(
    tx: Tx, caller: Principal, ref: str, *, project: str | None
) -> tuple[Model | None, Project]:
    """
    Return the model that a version is to be added to, and whose it is; none: it would be created.

    Args:
        project: Where it would be created.

    Raises:
        NotFound: There is no such model that the caller may see, and no project was named.
        Forbidden: The caller may not add versions there.
        NameTaken: The name belongs to what the caller may not see.
        InvalidRequest: It cannot be the name of a model.
    """
    model = await store.find(tx, ref)
    if model is not None and known(model, caller):
        caller.require(Verb.UPDATE, "model", team=model.team_id, project=model.project_id)
        return model, await projects.get_by_id(tx, model.project_id)
    if project is None:
        fix = "Create it first, or send `project` to create it with this version."
        raise NotFound("model", ref, fix=fix)
    owner = await projects.resolve(tx, caller, project, verb=Verb.CREATE, noun="model")
    if model is not None:
        raise NameTaken("model", ref, owner="the organisation")
    if not _NAME.fullmatch(ref):
        detail = f"`{ref[:63]}` cannot be the name of a model."
        fix = "Use lower-case letters, digits and hyphens, at most 63."
        raise InvalidRequest(
            detail, fix=fix, findings=[Finding("#/model", detail, fix, reason="InvalidName")]
        )
    return None, owner


async def get(tx: Tx, caller: Principal, ref: str, *, verb: Verb = Verb.READ) -> Model:
    """
    Return a model by id or name.

    Raises:
        NotFound: There is none that the caller may see.
        Forbidden: The caller may see it, and may not `verb` it.
    """
    model = await store.find(tx, ref)
    if model is None:
        raise NotFound("model", ref)
    if verb is Verb.READ and _shared(model, caller):
        return model
    caller.require(verb, "model", team=model.team_id, project=model.project_id, ref=ref)
    return model


async def find(tx: Tx, ref: str) -> Model | None:
    """Find a model by id or name, whoever asks."""
    return await store.find(tx, ref)


async def list(  # noqa: A001
    tx: Tx, caller: Principal, window: Window, search: Search | None = None
) -> Slice[Model]:
    """List the models that the caller may use, or those of them that are searched for."""
    rows = await store.page(tx, _reach(caller), _teams(caller), window, search)
    return Slice.cut(rows, window)


async def update(
    tx: Tx, caller: Principal, ref: str, changes: dict[str, Any], *, if_match: int | None
) -> Model:
    """
    Change who sees a model, or what is said of it.

    Raises:
        NotFound: There is none that the caller may see.
        Forbidden: The caller may not change it.
        RevisionConflict: It is no longer at `if_match`.
    """
    model = await get(tx, caller, ref, verb=Verb.UPDATE)
    revision.match(if_match, model.revision)
    values = {**changes}
    sent = values.pop("tags", None)
    tags = merged(model.tags, sent) if sent else None
    await store.change(tx, model, values, tags)
    await note(tx, caller, model, "model.updated", changes)
    return await get(tx, caller, model.id, verb=Verb.UPDATE)


async def delete(tx: Tx, caller: Principal, ref: str, *, if_match: int | None) -> None:
    """
    Delete a model with its versions; the content stays until it is swept.

    Raises:
        NotFound: There is none that the caller may see.
        Forbidden: The caller may not delete it.
        RevisionConflict: It is no longer at `if_match`.
        InUse: Deployments serve one of its versions.
    """
    model = await get(tx, caller, ref, verb=Verb.DELETE)
    revision.match(if_match, model.revision)
    await uses.ensure_none(tx, "model", model.id, model.name)
    await store.delete(tx, model)
    await note(tx, caller, model, "model.deleted", None)


async def suggestion(tx: Tx, caller: Principal, name: str) -> str | None:
    """Guess which model of those that the caller may use was meant."""
    window = Window(limit=1_000)
    found = await store.page(tx, _reach(caller), _teams(caller), window)
    return suggest.did_you_mean(name, [model.name for model in found])


@uses.of("project")
async def _used_by_models(tx: Tx, project_id: str) -> "Sequence[str]":
    return [f"model {name}" for name in await store.of_project(tx, project_id)]


async def insert(
    tx: Tx,
    caller: Principal,
    name: str,
    owner: tuple[Project, Visibility],
    *,
    description: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> Model:
    """Write a new model down, with its event."""
    project, visibility = owner
    now = tx.now_ms
    model = Model(
        id=ids.new("mdl"),
        revision=1,
        created_at_ms=now,
        updated_at_ms=now,
        name=name,
        team_id=project.team_id,
        project_id=project.id,
        visibility=visibility,
        description=description,
        tags=tags or {},
    )
    await store.insert(tx, model)
    await note(tx, caller, model, "model.created", {"name": name, "visibility": visibility})
    return model


def merged(tags: Mapping[str, str], sent: Mapping[str, str | None]) -> dict[str, str]:
    """
    Put what was sent over the tags that there are; none takes one away.

    Raises:
        InvalidRequest: There would be more than `MAX_TAGS`.
    """
    found = {key: value for key, value in {**tags, **sent}.items() if value is not None}
    if len(found) > MAX_TAGS:
        detail = f"There would be {len(found)} tags, and {MAX_TAGS} is the most."
        raise InvalidRequest(
            detail,
            fix="Take some away: send them as `null`.",
            findings=[Finding("#/tags", detail, reason="TooMany")],
        )
    return found


def _reach(caller: Principal) -> Reach:
    return caller.reach("model")


def _teams(caller: Principal) -> Collection[str]:
    return {*caller.roles, *([caller.team] if caller.team else [])}


def known(model: Model, caller: Principal) -> bool:
    """Tell whether the caller may see a model at all."""
    own = caller.may(Verb.READ, "model", team=model.team_id, project=model.project_id)
    return own or _shared(model, caller)


def _shared(model: Model, caller: Principal) -> bool:
    """Tell whether a model is shared with the caller, if they may see models at all."""
    if model.visibility is Visibility.ORGANIZATION:
        shared = True
    else:
        shared = model.visibility is Visibility.TEAM and model.team_id in _teams(caller)
    may_see_models = any(caller.may(Verb.READ, "model", team=team) for team in caller.roles) or (
        caller.may(Verb.READ, "model", team=caller.team, project=caller.project)
    )
    return shared and may_see_models


async def note(
    tx: Tx, caller: Principal, model: Model, action: str, changes: dict[str, Any] | None
) -> None:
    """Append an event of a model."""
    await audit.append(
        tx,
        caller,
        action=action,
        noun="model",
        id=model.id,
        team=model.team_id,
        changes=changes,
    )
