"""
How a batch moves from one status to the next, for the loop alone.

Every move is one transaction that starts from the batch as it was read: one that another instance,
or the same one before a crash, has made already is refused by the revision and read anew.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from towpath_server.adapters.objectstore.store import StoredBlob
from towpath_server.core.access import SYSTEM
from towpath_server.core.db import Tx
from towpath_server.domains.batches import service, store
from towpath_server.domains.batches.models import Batch, Flaw, Result, Status
from towpath_server.domains.files import service as files
from towpath_server.domains.files.models import Place


async def active(tx: Tx, *, limit: int) -> list[Batch]:
    """List batches that have not ended, oldest first."""
    return await store.active(tx, limit=limit)


async def read(tx: Tx, id: str) -> Batch | None:  # noqa: A002
    """Return a batch, whoever asks."""
    return await store.find(tx, id)


async def begin(tx: Tx, batch: Batch, *, total: int) -> None:
    """Let a batch run whose file is as it should be."""
    await store.change(
        tx,
        batch,
        {"status": Status.IN_PROGRESS, "total": total, "in_progress_at_ms": tx.now_ms},
    )


async def refuse(tx: Tx, batch: Batch, flaws: Sequence[Flaw]) -> None:
    """End a batch whose file is not as it should be."""
    values = {"status": Status.FAILED, "ended_at_ms": tx.now_ms, "flaws": _written(flaws)}
    await store.change(tx, batch, values)
    await service.note(tx, SYSTEM, batch, "failed", {"flaws": len(flaws)})


async def close(tx: Tx, batch: Batch, ends_as: Status, flaws: Sequence[Flaw] = ()) -> None:
    """Run no more lines of a batch, and have its files written."""
    values: dict[str, Any] = {"ends_as": ends_as, "finalizing_at_ms": tx.now_ms}
    if batch.status is not Status.CANCELLING:
        values["status"] = Status.FINALIZING
    if flaws:
        values["flaws"] = _written(flaws)
    await store.change(tx, batch, values)


async def results(tx: Tx, batch: Batch, found: Sequence[Result]) -> None:
    """Store what became of some lines, for good; a line that has a result keeps it."""
    await store.add_results(tx, batch.id, found)


async def done(tx: Tx, batch: Batch) -> set[int]:
    """Return which lines have a result."""
    return await store.done(tx, batch.id)


async def results_after(tx: Tx, batch: Batch, line: int, *, ok: bool, limit: int) -> list[Result]:
    """List results after a line, in order of their lines."""
    return await store.results_after(tx, batch.id, line, ok=ok, limit=limit)


async def end(
    tx: Tx, batch: Batch, *, output: StoredBlob | None, errors: StoredBlob | None, unrun: int
) -> None:
    """
    End a batch, with its files and without its rows, in one step.

    Args:
        unrun: Lines that its time was too short for; they count as failed.
    """
    place = Place(batch.team_id, batch.project_id, batch.environment)
    lasts = batch.output_lasts_s
    ends = None if lasts is None else tx.now_ms + lasts * 1_000
    made: dict[str, str | None] = {"output_file": None, "error_file": None}
    for field, blob, word in (
        ("output_file", output, "output"),
        ("error_file", errors, "error"),
    ):
        if blob is not None:
            name = f"{batch.id}_{word}.jsonl"
            made[field] = (await files.keep(tx, place, blob, filename=name, expires_at_ms=ends)).id
    status = batch.ends_as or Status.COMPLETED
    await store.change(
        tx,
        batch,
        {
            **made,
            "status": status,
            "failed": batch.failed + unrun,
            "ended_at_ms": tx.now_ms,
        },
    )
    await store.clear_results(tx, batch.id)
    await service.note(tx, SYSTEM, batch, "ended", {"status": status, **made})


def _written(flaws: Sequence[Flaw]) -> list[dict[str, Any]]:
    return [asdict(flaw) for flaw in flaws]
