"""
How an import moves from one phase to the next, for the loop alone.

Every move is one transaction that starts from the import as it was read: one that another instance,
or the same one before a crash, has made already is refused by the revision and read anew.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

from towpath_server.adapters.facilities import Facilities
from towpath_server.adapters.objectstore.store import StoredFile
from towpath_server.adapters.sources.model import Access, Listing
from towpath_server.core.access import SYSTEM
from towpath_server.core.db import Tx
from towpath_server.core.errors import NameTaken
from towpath_server.domains.artifacts import service as artifacts
from towpath_server.domains.connections import service as connections
from towpath_server.domains.imports import service, store
from towpath_server.domains.imports.models import Import, ImportFile, Phase, Progress, Trouble
from towpath_server.domains.models import service as models
from towpath_server.domains.models.models import VersionDraft, Visibility
from towpath_server.domains.projects import service as projects

KEPT_MS = 30 * 24 * 3_600_000  # what became of an import can be read for so long
_MAX_CARD = 200_000  # as long as the card of a version may be
_MAX_LICENCE = 200


async def due(tx: Tx, *, limit: int) -> Sequence[Import]:
    """List imports that have something to do now, the oldest first."""
    return await store.due(tx, limit=limit)


async def read(tx: Tx, id: str) -> Import | None:  # noqa: A002
    """Return an import, whoever asks, and one that was cancelled too."""
    return await store.find(tx, id)


async def files(tx: Tx, found: Import) -> Mapping[str, ImportFile]:
    """Return the files that have begun to come, by path."""
    return await store.files(tx, found.id)


async def access(tx: Tx, found: Import) -> Access:
    """Return how its source is reached, and as whom."""
    serving = await connections.serving(tx, found.uri, team_id=found.team_id)
    if serving is None:
        return Access()
    connection, secret = serving
    return Access(
        endpoint=connection.endpoint,
        region=connection.region,
        username=connection.username,
        secret=secret.reveal() if secret else None,
        ca_pem=connection.ca_pem,
    )


async def listed(tx: Tx, found: Import, listing: Listing) -> Import:
    """Note what comes; files of another content are forgotten."""
    if found.phase is Phase.FETCHING and found.fingerprint == listing.fingerprint:
        return found
    if found.fingerprint != listing.fingerprint:
        await store.clear_files(tx, found.id)
    begun = replace(
        found,
        phase=Phase.FETCHING,
        pinned=listing.pinned,
        fingerprint=listing.fingerprint,
        card=listing.card[:_MAX_CARD] if listing.card else None,
        licence=found.licence or (listing.licence or "")[:_MAX_LICENCE] or None,
        progress=progress_of(listing),
        revision=found.revision + 1,
    )
    names = ("phase", "pinned", "fingerprint", "card", "licence")
    values = {name: getattr(begun, name) for name in names}
    await store.change(tx, found, {**values, **asdict(begun.progress)})
    return begun


def progress_of(listing: Listing) -> Progress:
    """Say how much there is to come."""
    sizes = [file.size for file in listing.files]
    known = [size for size in sizes if size is not None]
    total = sum(known) if len(known) == len(sizes) else None
    return Progress(bytes_total=total, files_total=len(sizes))


async def has(tx: Tx, found: Import, digest: str) -> bool:
    """
    Tell whether the team has shown before that it has some content.

    Only then a digest that a source tells is enough: it must not open what others have stored.
    """
    return await artifacts.shown(tx, digest, holder=found.team_id)


async def begun(tx: Tx, found: Import, file: ImportFile) -> None:
    """Note under which upload a file comes, before its first byte."""
    await store.write_file(tx, found.id, replace(file, stored=False))


async def stored(tx: Tx, found: Import, file: ImportFile) -> None:
    """
    Rely on a file that is in the store.

    Raises:
        BeingRemoved: The same bytes are on their way out.
    """
    await artifacts.brought(tx, file.digest, file.size, holder=found.team_id)
    await store.write_file(tx, found.id, file)
    if found.attempts:
        await store.calm(tx, found.id)


async def advance(tx: Tx, id: str, *, bytes_done: int, files_done: int) -> bool:  # noqa: A002
    """Note how much has come; tell whether anybody still wants it."""
    return await store.advance(tx, id, bytes_done=bytes_done, files_done=files_done)


async def wanted(tx: Tx, id: str) -> bool:  # noqa: A002
    """Tell whether an import is under way still."""
    return await store.wanted(tx, id)


async def fetched(tx: Tx, found: Import, *, size: int) -> None:
    """Note that all files are in the store."""
    total = found.progress.files_total or 0
    values = {"phase": Phase.REGISTERING, "bytes_done": size, "bytes_total": size}
    await store.change(tx, found, {**values, "files_done": total, "attempts": 0})


async def register(tx: Tx, facilities: Facilities, found: Import, *, form: str) -> None:
    """
    Make a version of what came, and end the import, in one step.

    Raises:
        NameTaken: Another project has taken the model's name meanwhile.
        NotFound: The project is gone.
        Deferred: The files are to be scanned first.
        ArtifactRefused: The scan found what no model of this format may have.
    """
    model = await models.find(tx, found.model)
    if model is not None and model.project_id != found.project_id:
        raise NameTaken("model", found.model, owner="the organisation")
    project = await projects.get_by_id(tx, found.project_id)
    came = await store.files(tx, found.id)
    draft = VersionDraft(
        format=form,
        files=tuple(StoredFile(one.path, one.digest, one.size) for one in came.values()),
        card=found.card,
        licence=found.licence,
        lineage={"source": found.pinned or found.uri},
        tags=found.tags,
    )
    version = await models.register(
        tx,
        found.creator,
        facilities,
        owner=(project, Visibility.PROJECT),
        draft=draft,
        name=found.model,
    )
    await store.clear_files(tx, found.id)
    values = {"phase": Phase.DONE, "version": version.number, "ended_at_ms": tx.now_ms}
    await store.change(tx, found, {**values, "trouble": None, "retry_at_ms": None})
    await service.note(tx, SYSTEM, found, "done", {"model": found.model, "version": version.number})


async def postpone(tx: Tx, found: Import, trouble: Trouble, *, after_ms: int) -> None:
    """Try an import again, later."""
    values = {"attempts": found.attempts + 1, "retry_at_ms": tx.now_ms + after_ms}
    await store.change(tx, found, {**values, "trouble": asdict(trouble)})


async def fail(tx: Tx, found: Import, trouble: Trouble) -> None:
    """End an import that cannot be had."""
    await store.clear_files(tx, found.id)
    values = {"phase": Phase.FAILED, "ended_at_ms": tx.now_ms, "retry_at_ms": None}
    await store.change(tx, found, {**values, "trouble": asdict(trouble)})
    await service.note(tx, SYSTEM, found, "failed", {"reason": trouble.reason, "uri": found.uri})


async def clear(tx: Tx, found: Import) -> None:
    """Remove an import that was cancelled."""
    await store.remove(tx, found.id, found.revision)


async def sweep(tx: Tx) -> int:
    """Forget what ended long ago; return how many."""
    return await store.forget(tx, tx.now_ms - KEPT_MS)
