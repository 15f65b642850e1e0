"""Rules of models."""

from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from towpath_server.adapters.objectstore.errors import ArtifactMissing
from towpath_server.adapters.objectstore.folder import (
    FolderStore,
    StoredFile,
    list_digest,
    safe_path,
)
from towpath_server.core import ids, revision, suggest, uses
from towpath_server.core.access import Principal, Reach, Verb
from towpath_server.core.db import Database, Tx
from towpath_server.core.errors import Finding, InvalidRequest, NameTaken, NotFound
from towpath_server.core.paging import Slice, Window
from towpath_server.domains.audit import service as audit
from towpath_server.domains.models import store
from towpath_server.domains.models.errors import FilesUnknown
from towpath_server.domains.models.models import Model, ModelVersion, VersionDraft, Visibility
from towpath_server.domains.projects import service as projects
from towpath_server.domains.projects.models import Project


async def create(
    tx: Tx,
    caller: Principal,
    *,
    name: str,
    project: str,
    visibility: Visibility = Visibility.PROJECT,
    description: str | None = None,
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
    return await _insert(tx, caller, name, (owner, visibility), description=description)


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


async def list(tx: Tx, caller: Principal, window: Window) -> Slice[Model]:  # noqa: A001
    """List the models that the caller may use."""
    return Slice.cut(await store.page(tx, _reach(caller), _teams(caller), window), window)


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
    await store.change(tx, model, changes)
    await _note(tx, caller, model, "model.updated", changes)
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
    await _note(tx, caller, model, "model.deleted", None)


async def add_version(
    tx: Tx, caller: Principal, ref: str, draft: VersionDraft, *, project: str | None = None
) -> tuple[ModelVersion, bool]:
    """
    Register uploaded files as the next version; tell whether there was one to register.

    The newest version is returned as it is when it already has this content.

    Args:
        project: Where the model is created when there is none of this name.

    Raises:
        NotFound: There is no such model, and no project was named.
        Forbidden: The caller may not add versions to it.
        FilesUnknown: The caller has not uploaded all of the files.
        InvalidRequest: Paths or sizes do not hold.
    """
    _check_files(draft.files)
    model = await store.find(tx, ref)
    if model is None and project is not None:
        model = await create(tx, caller, name=ref, project=project)
    if model is None or not _known(model, caller):
        raise NotFound(
            "model", ref, fix="Create it first, or send `project` to create it with this version."
        )
    caller.require(Verb.UPDATE, "model", team=model.team_id, project=model.project_id)
    await _check_uploaded(tx, caller, draft.files)
    return await _append(tx, caller, model, draft)


async def import_version(
    tx: Tx,
    caller: Principal,
    artifacts: FolderStore,
    *,
    owner: tuple[Project, Visibility],
    source: Path,
    draft: VersionDraft,
    name: str,
) -> ModelVersion:
    """
    Register a file or folder of this machine; for the platform's own start, never for callers.

    Args:
        owner: Project and visibility, for when the model is new.

    Raises:
        ArtifactMissing: There is nothing at `source`.
    """
    files = []
    for path, relative in _walk(source):
        stored = await artifacts.import_file(path)
        files.append(replace(stored, path=relative))
    model = await store.find(tx, name)
    if model is None:
        model = await _insert(tx, caller, name, owner)
    version, _ = await _append(tx, caller, model, replace(draft, files=tuple(files)))
    return version


async def get_version(tx: Tx, caller: Principal, ref: str, number: int) -> ModelVersion:
    """
    Return a version by the model's name and its number.

    Raises:
        NotFound: There is none that the caller may see.
    """
    model = await get(tx, caller, ref)
    version = await store.find_version(tx, model, number)
    if version is None:
        latest = await store.last_number(tx, model)
        hint = f"The newest version is {latest}." if latest else "It has no version yet."
        raise NotFound("model_version", f"{model.name}/{number}", fix=hint)
    return version


async def latest(tx: Tx, caller: Principal, ref: str) -> ModelVersion | None:
    """Return the newest version of a model, where there is one that the caller may see."""
    model = await get(tx, caller, ref)
    return await store.latest_version(tx, model)


async def suggestion(tx: Tx, caller: Principal, name: str) -> str | None:
    """Guess which model of those that the caller may use was meant."""
    window = Window(limit=1_000)
    known = await store.page(tx, _reach(caller), _teams(caller), window)
    return suggest.did_you_mean(name, [model.name for model in known])


async def list_versions(tx: Tx, caller: Principal, ref: str, window: Window) -> Slice[ModelVersion]:
    """
    List the versions of a model, oldest first.

    Raises:
        NotFound: There is no such model that the caller may see.
    """
    model = await get(tx, caller, ref)
    return Slice.cut(await store.versions(tx, model, window), window)


async def upload(
    db: Database, artifacts: FolderStore, caller: Principal, digest: str, body: AsyncIterator[bytes]
) -> int:
    """
    Store content under its digest, and note who has shown to have it; return its size.

    Raises:
        Forbidden: The caller may not upload.
        DigestMismatch: The content has another digest.
        StorageFull: There is no room for it.
    """
    holders = _uploaders(caller)
    size = await artifacts.put(digest, body)
    async with db.write() as tx:
        await store.note_upload(tx, digest, size, holders)
        await audit.append(
            tx,
            caller,
            action="artifact.uploaded",
            noun="artifact",
            id=digest,
            team=caller.team,
            changes={"size": size},
        )
    return size


async def uploaded_size(tx: Tx, artifacts: FolderStore, caller: Principal, digest: str) -> int:
    """
    Return the size of content that the caller, or their team, has uploaded.

    What only others have uploaded is not found: a digest must not tell who has which model.

    Raises:
        ArtifactMissing: They have not.
        Forbidden: The caller may not upload.
    """
    known = await store.uploaded(tx, [digest], _visible_holders(caller))
    size = await artifacts.size(digest)
    if digest not in known or size is None:
        raise ArtifactMissing(digest)
    return size


@uses.of("project")
async def _used_by_models(tx: Tx, project_id: str) -> "Sequence[str]":
    return [f"model {name}" for name in await store.of_project(tx, project_id)]


async def _insert(
    tx: Tx,
    caller: Principal,
    name: str,
    owner: tuple[Project, Visibility],
    *,
    description: str | None = None,
) -> Model:
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
    )
    await store.insert(tx, model)
    await _note(tx, caller, model, "model.created", {"name": name, "visibility": visibility})
    return model


async def _append(
    tx: Tx, caller: Principal, model: Model, draft: VersionDraft
) -> tuple[ModelVersion, bool]:
    digest = draft.files[0].digest if len(draft.files) == 1 else list_digest(draft.files)
    newest = await store.latest_version(tx, model)
    if newest is not None and _same(newest, digest, draft):
        return newest, False
    version = ModelVersion(
        id=ids.new("mdv"),
        revision=1,
        created_at_ms=tx.now_ms,
        updated_at_ms=tx.now_ms,
        model_id=model.id,
        model_name=model.name,
        number=(newest.number if newest else 0) + 1,
        digest=digest,
        format=draft.format,
        files=tuple(sorted(draft.files, key=lambda file: file.path)),
        signature=draft.signature,
        card=draft.card,
        licence=draft.licence,
        lineage=draft.lineage,
        created_by=caller.id,
    )
    await store.insert_version(tx, version)
    changes = {"version": version.number, "digest": digest}
    await _note(tx, caller, model, "model.version_created", changes)
    return version, True


def _same(version: ModelVersion, digest: str, draft: VersionDraft) -> bool:
    return (
        version.digest == digest
        and version.format == draft.format
        and version.signature == draft.signature
        and version.card == draft.card
        and version.licence == draft.licence
        and version.lineage == draft.lineage
        and {file.path for file in version.files} == {file.path for file in draft.files}
    )


def _check_files(files: Sequence[StoredFile]) -> None:
    findings = []
    seen: set[str] = set()
    for index, file in enumerate(files):
        try:
            safe_path(file.path)
        except ValueError as error:
            findings.append(Finding(f"#/files/{index}/path", f"{error}."))
        if file.path in seen:
            findings.append(Finding(f"#/files/{index}/path", f"`{file.path}` is named twice."))
        seen.add(file.path)
    if findings:
        raise InvalidRequest(
            findings[0].message, fix="Use relative paths within the model.", findings=findings
        )


async def _check_uploaded(tx: Tx, caller: Principal, files: Sequence[StoredFile]) -> None:
    sizes = await store.uploaded(tx, {file.digest for file in files}, _visible_holders(caller))
    findings = []
    for index, file in enumerate(files):
        if file.digest not in sizes:
            fix = f"`PUT /api/v1/blobs/{file.digest}` first."
            findings.append(
                Finding(f"#/files/{index}/digest", f"`{file.path}` was not uploaded.", fix)
            )
        elif sizes[file.digest] != file.size:
            detail = f"`{file.path}` has {sizes[file.digest]} bytes, not {file.size}."
            findings.append(Finding(f"#/files/{index}/size", detail))
    if findings:
        raise FilesUnknown(findings[0].message, fix=findings[0].fix, findings=findings)


def _uploaders(caller: Principal) -> Collection[str]:
    """Return on whose behalf the caller uploads: every team they may create models in."""
    teams = [team for team in caller.roles if caller.may(Verb.CREATE, "artifact", team=team)]
    own = caller.team is not None and caller.may(
        Verb.CREATE, "artifact", team=caller.team, project=caller.project
    )
    if own and caller.team is not None:
        teams.append(caller.team)
    if not teams:
        caller.require(Verb.CREATE, "artifact")
    return teams or [caller.id]


def _visible_holders(caller: Principal) -> Collection[str] | None:
    return None if caller.may(Verb.CREATE, "artifact") else _uploaders(caller)


def _reach(caller: Principal) -> Reach:
    return caller.reach("model")


def _teams(caller: Principal) -> Collection[str]:
    return {*caller.roles, *([caller.team] if caller.team else [])}


def _known(model: Model, caller: Principal) -> bool:
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


def _walk(source: Path) -> Sequence[tuple[Path, str]]:
    if source.is_file():
        return [(source, source.name)]
    found = sorted(path for path in source.rglob("*") if path.is_file())
    if not found:
        raise ArtifactMissing(source.name)
    return [(path, path.relative_to(source).as_posix()) for path in found]


async def _note(
    tx: Tx, caller: Principal, model: Model, action: str, changes: dict[str, Any] | None
) -> None:
    await audit.append(
        tx,
        caller,
        action=action,
        noun="model",
        id=model.id,
        team=model.team_id,
        changes=changes,
    )
