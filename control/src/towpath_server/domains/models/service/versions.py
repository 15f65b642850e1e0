"""Versions: immutable content under a name."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from towpath_server.adapters.facilities import Facilities
from towpath_server.adapters.objectstore.errors import ArtifactMissing
from towpath_server.adapters.objectstore.store import (
    StoredFile,
    list_digest,
    safe_path,
)
from towpath_server.core import formats, ids, licences, revision, suggest
from towpath_server.core.access import Principal, Verb
from towpath_server.core.db import Tx
from towpath_server.core.errors import Finding, InvalidRequest, NotFound
from towpath_server.core.paging import Slice, Window
from towpath_server.domains.artifacts import service as artifacts
from towpath_server.domains.models import store
from towpath_server.domains.models.models import (
    Found,
    Model,
    ModelVersion,
    Scanned,
    VersionDraft,
    Visibility,
    example_text,
)
from towpath_server.domains.models.service import names, signatures, uploads
from towpath_server.domains.projects.models import Project
from towpath_server.domains.runtimes import service as runtimes
from towpath_server.domains.scans import service as scans

_MAX_FOUND = 100  # findings that a version keeps: the first ones say what it is


async def add_version(
    tx: Tx,
    caller: Principal,
    ref: str,
    draft: VersionDraft,
    *,
    facilities: Facilities,
    project: str | None = None,
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
        InvalidRequest: Format, paths, sizes, signature or the card's example do not hold.
        Deferred: The files are to be scanned first.
        ArtifactRefused: The scan found what no model of this format may have.
    """
    _check(draft, facilities)
    model, owner = await names.owner_of(tx, caller, ref, project=project)
    if model is None:
        model = await names.insert(tx, caller, ref, (owner, Visibility.PROJECT))
    await uploads.check(tx, caller, draft.files)
    return await _append(tx, caller, model, await _scan(tx, facilities, draft))


async def import_version(
    tx: Tx,
    caller: Principal,
    facilities: Facilities,
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
        Deferred: The files are to be scanned first.
        ArtifactRefused: The scan found what no model of this format may have.
    """
    files = []
    for path, relative in _walk(source):
        stored = await facilities.artifacts.import_file(path)
        files.append(replace(stored, path=relative))
    draft = replace(draft, files=tuple(files))
    return await register(tx, caller, facilities, owner=owner, draft=draft, name=name)


async def register(
    tx: Tx,
    caller: Principal,
    facilities: Facilities,
    *,
    owner: tuple[Project, Visibility],
    draft: VersionDraft,
    name: str,
) -> ModelVersion:
    """
    Register files that the platform itself has stored, for whoever has the right to it.

    The newest version is returned as it is when it already has this content.

    Args:
        owner: Project and visibility, for when the model is new.

    Raises:
        InvalidRequest: Format or paths do not hold.
        BeingRemoved: One of the files is on its way out.
        Deferred: The files are to be scanned first.
        ArtifactRefused: The scan found what no model of this format may have.
    """
    # A card from outside does not know our convention of an example: it is kept as it is.
    _refuse([*_check_files(draft.files), *check_format(draft.format, facilities)])
    model = await store.find(tx, name)
    if model is None:
        model = await names.insert(tx, caller, name, owner)
    await artifacts.claim(tx, {file.digest for file in draft.files})
    version, _ = await _append(tx, caller, model, await _scan(tx, facilities, draft))
    return version


async def get_version(tx: Tx, caller: Principal, ref: str, number: int) -> ModelVersion:
    """
    Return a version by the model's name and its number.

    Raises:
        NotFound: There is none that the caller may see.
    """
    model = await names.get(tx, caller, ref)
    version = await store.find_version(tx, model, number)
    if version is None:
        latest = await store.last_number(tx, model)
        hint = f"The newest version is {latest}." if latest else "It has no version yet."
        raise NotFound("model_version", f"{model.name}/{number}", fix=hint)
    return version


async def latest(tx: Tx, caller: Principal, ref: str) -> ModelVersion | None:
    """Return the newest version of a model, where there is one that the caller may see."""
    model = await names.get(tx, caller, ref)
    return await store.latest_version(tx, model)


async def update_version(
    tx: Tx,
    caller: Principal,
    ref: str,
    number: int,
    *,
    tags: Mapping[str, str | None],
    if_match: int | None,
) -> ModelVersion:
    """
    Change the tags of a version, the one thing of it that may change.

    Args:
        tags: What is not named stays; none takes a tag away.

    Raises:
        NotFound: There is none that the caller may see.
        Forbidden: The caller may not change the model.
        RevisionConflict: It is no longer at `if_match`.
        InvalidRequest: It would have too many.
    """
    model = await names.get(tx, caller, ref, verb=Verb.UPDATE)
    version = await get_version(tx, caller, model.id, number)
    revision.match(if_match, version.revision)
    await store.tag_version(tx, version, names.merged(version.tags, tags))
    changes = {"version": number, "tags": dict(tags)}
    await names.note(tx, caller, model, "model.version_tagged", changes)
    return await get_version(tx, caller, model.id, number)


async def file_of(tx: Tx, caller: Principal, ref: str, number: int, path: str) -> StoredFile:
    """
    Return where the bytes of a version's file are.

    Raises:
        NotFound: There is no such version that the caller may see, or no such file in it.
    """
    version = await get_version(tx, caller, ref, number)
    for file in version.files:
        if file.path == path:
            return file
    hint = suggest.did_you_mean(path, [file.path for file in version.files])
    raise NotFound(
        "model_file", path[:200], fix=hint or f"The files of `{version.uri}` are in its `files`."
    )


async def list_versions(tx: Tx, caller: Principal, ref: str, window: Window) -> Slice[ModelVersion]:
    """
    List the versions of a model, oldest first.

    Raises:
        NotFound: There is no such model that the caller may see.
    """
    model = await names.get(tx, caller, ref)
    return Slice.cut(await store.versions(tx, model, window), window)


async def _scan(tx: Tx, facilities: Facilities, draft: VersionDraft) -> VersionDraft:
    """
    Add what stands in the files: facts, what of it is code, a signature where none is given.

    Raises:
        Deferred: They are to be scanned first.
        ArtifactRefused: The scan found what no model of this format may have.
        InvalidRequest: The signature that is given contradicts the files'.
    """
    judged = await scans.admit(tx, facilities, draft.files, form=draft.format)
    findings = tuple(
        Found(scans.where(path, one), one.reason, one.message, one.fix)
        for path, one in judged.issues[:_MAX_FOUND]
    )
    if draft.signature and judged.tensors:
        signatures.agree(draft.signature, judged.tensors)
    scanned = Scanned(judged.facts, judged.carries_code(draft.format), findings)
    return replace(draft, signature=draft.signature or judged.signature, scanned=scanned)


async def _append(
    tx: Tx, caller: Principal, model: Model, draft: VersionDraft
) -> tuple[ModelVersion, bool]:
    if draft.licence is not None:
        draft = replace(draft, licence=licences.canonical(draft.licence))
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
        scanned=draft.scanned or Scanned(),
        tags=draft.tags,
    )
    await store.insert_version(tx, version)
    changes = {"version": version.number, "digest": digest}
    await names.note(tx, caller, model, "model.version_created", changes)
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


def _check(draft: VersionDraft, facilities: Facilities) -> None:
    files, card = _check_files(draft.files), _check_card(draft.card)
    _refuse([*files, *card, *check_format(draft.format, facilities)])


def _refuse(findings: Sequence[Finding]) -> None:
    if findings:
        raise InvalidRequest(findings[0].message, fix=findings[0].fix, findings=findings)


def check_format(form: str, facilities: Facilities, *, at: str = "#/format") -> list[Finding]:
    """Say what is wrong with the name of a format, before anything is brought for it."""
    known = runtimes.catalog(facilities.runtimes_dir).runtimes
    served = [name for runtime in known for name in runtime.formats]
    refusal = formats.refusal(form, served)
    return [] if refusal is None else [Finding(at, *refusal, reason="UnknownFormat")]


def _check_card(card: str | None) -> list[Finding]:
    text = example_text(card or "")
    if text is None:
        return []
    try:
        example = json.loads(text)
    except ValueError as error:
        detail = f"The card's example is not JSON: {error}."
        return [Finding("#/card", detail, "Correct the block under `Example`.", reason="NotJson")]
    if isinstance(example, dict):
        return []
    detail = "The card's example is not a request: it is no JSON object."
    fix = 'Write the body of a call, such as `{"inputs": ["…"]}`.'
    return [Finding("#/card", detail, fix, reason="WrongType")]


def _check_files(files: Sequence[StoredFile]) -> list[Finding]:
    findings = []
    fix = "Use relative paths within the model, each once."
    seen: set[str] = set()
    for index, file in enumerate(files):
        try:
            safe_path(file.path)
        except ValueError as error:
            findings.append(Finding(f"#/files/{index}/path", f"{error}.", fix))
        if file.path in seen:
            detail = f"`{file.path}` is named twice."
            findings.append(Finding(f"#/files/{index}/path", detail, fix))
        seen.add(file.path)
    return findings


def _walk(source: Path) -> Sequence[tuple[Path, str]]:
    if source.is_file():
        return [(source, source.name)]
    found = sorted(path for path in source.rglob("*") if path.is_file())
    if not found:
        raise ArtifactMissing(source.name)
    return [(path, path.relative_to(source).as_posix()) for path in found]
