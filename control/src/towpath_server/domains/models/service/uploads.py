"""Content that is uploaded by digest, and who has shown to have it."""

from collections.abc import AsyncIterator, Collection, Sequence

from towpath_server.adapters.objectstore.errors import ArtifactMissing
from towpath_server.adapters.objectstore.folder import FolderStore, StoredFile
from towpath_server.core.access import Principal, Verb
from towpath_server.core.db import Database, Tx
from towpath_server.core.errors import Finding
from towpath_server.domains.audit import service as audit
from towpath_server.domains.models import store
from towpath_server.domains.models.errors import FilesUnknown


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


async def check(tx: Tx, caller: Principal, files: Sequence[StoredFile]) -> None:
    """
    See that the caller has uploaded all of the files.

    Raises:
        FilesUnknown: Some are missing, or have another size.
    """
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
