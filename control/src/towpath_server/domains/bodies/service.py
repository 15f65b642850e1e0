"""
Rules of logged bodies: who may read them, that they are sealed, and how long they stay.

A project's setting decides at the gateway what is copied, and here how long it is kept. Bodies are
sealed with the platform's secret key before they touch a disk, bound to their request.
"""

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from towpath_server.adapters.objectstore import removals
from towpath_server.adapters.objectstore.store import ArtifactStore
from towpath_server.core.access import Principal, Verb
from towpath_server.core.db import Database, Tx
from towpath_server.core.errors import NotFound
from towpath_server.core.secret import Secret
from towpath_server.domains.bodies import store
from towpath_server.domains.bodies.models import Entry, Logged
from towpath_server.domains.projects import service as projects
from towpath_server.domains.projects.models import BodyMode

_STORE = "bodies"
_DAY_MS = 86_400_000
# Bytes that no entry has yet may belong to a message whose entries are about to be written.
GRACE_S = 3_600.0
# Two bodies at the gateway's largest setting, as JSON and sealed, stay below this.
_MAX_SEALED = 64 << 20


async def keep(db: Database, blobs: ArtifactStore, found: Sequence[Logged]) -> int:
    """
    Seal and store what a gateway shipped, of projects that log bodies now; return how many.

    What is stored already stays as it is.
    """
    async with db.read() as tx:
        owners = {
            one.id: one
            for one in await projects.routed(tx, ids={logged.project_id for logged in found})
            if one.body_log.mode is BodyMode.FULL
        }
    entries = []
    for logged in found:
        owner = owners.get(logged.project_id)
        if owner is None:
            continue  # switched off, or deleted, while they were on their way
        text = json.dumps(logged.document, separators=(",", ":"))
        sealed = db.sealer.seal(Secret(text), id=_seal_id(logged.request_id))
        blob = await blobs.take(_once(sealed.encode()))
        entries.append(
            Entry(
                logged.request_id,
                owner.team_id,
                owner.id,
                logged.at_ms,
                blob.digest,
                blob.size,
            )
        )
    if entries:
        async with db.write() as tx:
            await removals.claim(tx, _STORE, {entry.digest for entry in entries})
            await store.insert(tx, entries)
    return len(entries)


async def get(
    tx: Tx, blobs: ArtifactStore, caller: Principal, request: str
) -> tuple[Entry, Mapping[str, Any]]:
    """
    Return the bodies of a request.

    Raises:
        NotFound: None are kept, or the caller may not read them.
    """
    entry = await store.find(tx, request)
    if entry is None:
        raise _absent(request)
    try:
        caller.require(Verb.READ, "body", team=entry.team_id, project=entry.project_id, ref=request)
    except NotFound as error:
        raise _absent(request) from error
    sealed = await blobs.text(entry.digest, limit=_MAX_SEALED)
    opened = tx.sealer.open(sealed, id=_seal_id(request))
    document: Mapping[str, Any] = json.loads(opened.reveal())
    return entry, document


async def sweep(db: Database, blobs: ArtifactStore, *, grace_s: float = GRACE_S) -> int:
    """Remove what is older than its project keeps it, and bytes that no entry has any more."""
    async with db.write() as tx:
        kept_of = await store.projects(tx)
        days = {one.id: one.body_log.days for one in await projects.routed(tx, ids=set(kept_of))}
        gone = 0
        for project in kept_of:
            # of a project that is gone, nothing is kept
            before = tx.now_ms - days[project] * _DAY_MS if project in days else tx.now_ms + 1
            gone += await store.forget(tx, project, before_ms=before)

    target = removals.Target(_STORE, blobs)
    await removals.sweep(db, target, store.used, older_than_s=grace_s)
    return gone


def _absent(request: str) -> NotFound:
    return NotFound(
        "body",
        request,
        fix="Bodies are kept only of projects whose `body_log` is `full`, for as many days as it "
        "says, and shown to developers and admins of their team.",
    )


def _seal_id(request: str) -> str:
    return f"bodies:{request}"


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content
