"""
Rules of batches: what a caller may ask of them (here), and how they move (`service.moves`).

A batch belongs to the project and environment of the key that made it, and its lines are that key's
calls.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from towpath_server.core import ids, uses
from towpath_server.core.access import Principal, Verb
from towpath_server.core.config import BatchSettings
from towpath_server.core.db import Tx
from towpath_server.core.errors import Finding, NotFound
from towpath_server.core.paging import Slice, Window
from towpath_server.domains.audit import service as audit
from towpath_server.domains.batches import store
from towpath_server.domains.batches.errors import BatchEnded, FileNotForBatch, TooManyBatches
from towpath_server.domains.batches.models import Batch, Status, Url
from towpath_server.domains.files import service as files
from towpath_server.domains.files.models import Purpose

_SHOWN = 5


async def create(
    tx: Tx,
    caller: Principal,
    *,
    input_file: str,
    url: Url,
    window: str,
    window_ms: int,
    limits: BatchSettings,
    metadata: Mapping[str, str] | None = None,
    output_lasts_s: int | None = None,
) -> Batch:
    """
    Make a batch of a file; it is validated and run by and by.

    Args:
        window: How long it may take, as the caller wrote it.

    Raises:
        Forbidden: The caller is no key or service account that may call models.
        NotFound: There is no such file in the caller's project and environment.
        FileNotForBatch: The file was not uploaded for a batch.
        TooManyBatches: The project has as many as it may have.
    """
    file = await files.get(tx, caller, input_file)
    place = files.place_of(caller, "batch")
    if file.purpose is not Purpose.BATCH:
        raise FileNotForBatch(
            f"The file `{file.id}` has the purpose `{file.purpose}`, not `batch`.",
            fix="Upload the requests as a file of the purpose `batch`.",
            findings=[Finding("#/input_file_id", "Its purpose is not `batch`.")],
        )
    if await store.count_active(tx, place.project_id) >= limits.active:
        raise TooManyBatches(
            f"The project has {limits.active} batches that have not ended.",
            fix="Wait until one ends, or cancel one.",
        )
    batch = Batch(
        id=ids.new("batch"),
        revision=1,
        created_at_ms=tx.now_ms,
        updated_at_ms=tx.now_ms,
        team_id=place.team_id,
        project_id=place.project_id,
        environment=place.environment,
        key_id=caller.id,
        url=url,
        input_file=file.id,
        input_digest=file.digest,
        window=window,
        status=Status.VALIDATING,
        expires_at_ms=tx.now_ms + window_ms,
        output_lasts_s=output_lasts_s,
        metadata=metadata,
    )
    await store.insert(tx, batch)
    await note(tx, caller, batch, "created", {"url": url, "input_file": file.id, "window": window})
    return batch


async def get(tx: Tx, caller: Principal, ref: str, *, verb: Verb = Verb.READ) -> Batch:
    """
    Return a batch.

    Raises:
        NotFound: There is none in the caller's project and environment.
        Forbidden: The caller may see it, and not `verb` it.
    """
    batch = await store.find(tx, ref)
    if batch is None or caller.environment not in {None, batch.environment}:
        raise NotFound("batch", ref)
    caller.require(verb, "batch", team=batch.team_id, project=batch.project_id, ref=ref)
    return batch


async def list(tx: Tx, caller: Principal, window: Window) -> Slice[Batch]:  # noqa: A001
    """
    List the batches of the caller's project and environment; of a user, those of all teams.

    Raises:
        Forbidden: The caller may read no batches.
    """
    reach = caller.reach("batch")
    return Slice.cut(await store.page(tx, reach, window, environment=caller.environment), window)


async def cancel(tx: Tx, caller: Principal, ref: str) -> Batch:
    """
    End a batch before its time; what was answered is kept. One that is being cancelled stays so.

    Raises:
        NotFound: There is none in the caller's project and environment.
        BatchEnded: It has ended otherwise, or its files are being written.
    """
    batch = await get(tx, caller, ref, verb=Verb.UPDATE)
    if batch.status in {Status.CANCELLING, Status.CANCELLED}:
        return batch
    if batch.status not in {Status.VALIDATING, Status.IN_PROGRESS}:
        raise BatchEnded(
            f"The batch `{batch.id}` is `{batch.status}` and cannot be cancelled.",
            fix="Read its files; there is nothing left to cancel.",
        )
    values: dict[str, Any] = {"status": Status.CANCELLING, "cancelling_at_ms": tx.now_ms}
    await store.change(tx, batch, values)
    await note(tx, caller, batch, "cancelled", {})
    return replace(batch, **values, revision=batch.revision + 1, updated_at_ms=tx.now_ms)


async def note(
    tx: Tx, caller: Principal, batch: Batch, verb: str, changes: Mapping[str, Any]
) -> None:
    """Append an event of a batch to the audit log."""
    await audit.append(
        tx,
        caller,
        action=f"batch.{verb}",
        noun="batch",
        id=batch.id,
        team=batch.team_id,
        changes=changes,
    )


@uses.of("file")
async def _of_file(tx: Tx, file: str) -> Sequence[str]:
    return [f"batch {id_}" for id_ in await store.active_of_file(tx, file, _SHOWN)]


@uses.of("project")
async def _of_project(tx: Tx, project: str) -> Sequence[str]:
    return [f"batch {id_}" for id_ in await store.active_of_project(tx, project, _SHOWN)]
