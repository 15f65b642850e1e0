"""What content of models is, before it is registered."""

from collections.abc import Sequence
from pathlib import PurePosixPath

from towpath_server.adapters.facilities import Facilities
from towpath_server.adapters.modelfiles import reasons
from towpath_server.adapters.modelfiles.model import Judged, judge
from towpath_server.adapters.modelfiles.report import Issue
from towpath_server.adapters.objectstore.folder import StoredFile
from towpath_server.core.db import Database, Tx
from towpath_server.core.deferred import Deferred
from towpath_server.core.errors import Finding
from towpath_server.domains.scans import store
from towpath_server.domains.scans.errors import ArtifactRefused
from towpath_server.domains.scans.store import Key


async def admit(
    tx: Tx, facilities: Facilities, files: Sequence[StoredFile], *, form: str
) -> Judged:
    """
    Return what stored files are, as a model of a format.

    Raises:
        Deferred: Some of them were not scanned yet; the work is to scan them.
        ArtifactRefused: The files may not be registered in this format.
    """
    keys = [_key(file) for file in files]
    known = await store.find(tx, set(keys))
    if not known.keys() >= set(keys):
        raise Deferred(lambda db: _scan(db, facilities, files))
    found = [(file.path, file.size, known[key]) for file, key in zip(files, keys, strict=True)]
    judged = judge(form, found)
    if refused := judged.refused(form):
        raise ArtifactRefused(_findings(files, refused))
    return judged


async def _scan(db: Database, facilities: Facilities, files: Sequence[StoredFile]) -> None:
    """Scan what was not scanned before, and remember it; what the scan did not survive is not."""
    async with db.read() as tx:
        known = await store.find(tx, {_key(file) for file in files})
    missing = {key: file for file in files if (key := _key(file)) not in known}
    folder = await facilities.artifacts.tree(files)
    scanned = await facilities.scanner.scan(
        [(folder / file.path, name) for (_, name), file in missing.items()]
    )
    found = dict(zip(missing, scanned, strict=True))
    failed = [
        (missing[key].path, issue)
        for key, one in found.items()
        for issue in one.issues
        if issue.reason == reasons.SCAN_FAILED
    ]
    lost = {path for path, _ in failed}
    kept = {key: one for key, one in found.items() if missing[key].path not in lost}
    async with db.write() as tx:
        await store.keep(tx, kept)
    if failed:
        raise ArtifactRefused(_findings(files, failed))


def _key(file: StoredFile) -> Key:
    return file.digest, PurePosixPath(file.path).name


def _findings(files: Sequence[StoredFile], issues: Sequence[tuple[str, Issue]]) -> list[Finding]:
    places = {file.path: index for index, file in enumerate(files)}
    return [
        Finding(f"#/files/{places[path]}", f"`{where(path, issue)}`: {issue.message}", issue.fix,
                reason=issue.reason)
        for path, issue in issues
    ]  # fmt: skip


def where(path: str, issue: Issue) -> str:
    """Name the place of a finding: the file, and what of it."""
    return f"{path}!{issue.inside}" if issue.inside else path
