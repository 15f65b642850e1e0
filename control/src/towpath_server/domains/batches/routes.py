"""Routes of batches, in OpenAI's dialect: `/v1/batches`."""

from typing import Annotated

from fastapi import Depends, Query

from towpath_server.adapters import facilities
from towpath_server.adapters.facilities import Facilities
from towpath_server.core.errors import Forbidden, NotFound
from towpath_server.core.paging import Window
from towpath_server.domains.batches import service as batches
from towpath_server.domains.batches.errors import BatchEnded, FileNotForBatch, TooManyBatches
from towpath_server.domains.batches.schemas import BatchCreate, BatchList, BatchOut, window_ms
from towpath_server.web import edge
from towpath_server.web.deps import Caller, ReadTx, WriteTx
from towpath_server.web.problems import problems
from towpath_server.web.schemas import Ref

router = edge.router("batch", "/v1/batches")
Machine = Annotated[Facilities, Depends(facilities.of)]
_MAX_LIMIT, _DEFAULT_LIMIT = 100, 20  # what OpenAI's API takes


@router.post("", responses=problems(NotFound, Forbidden, FileNotForBatch, TooManyBatches))
async def create(body: BatchCreate, caller: Caller, tx: WriteTx, machine: Machine) -> BatchOut:
    """Run the requests of a file, each as a call of your key, when there is room for them."""
    lasts = body.output_expires_after
    batch = await batches.create(
        tx,
        caller,
        input_file=body.input_file_id,
        url=body.endpoint,
        window=body.completion_window,
        window_ms=window_ms(body.completion_window),
        limits=machine.batches,
        metadata=body.metadata,
        output_lasts_s=lasts.seconds if lasts else None,
    )
    return BatchOut.of(batch)


@router.get("", responses=problems(Forbidden))
async def list_batches(
    caller: Caller,
    tx: ReadTx,
    limit: Annotated[int, Query(ge=1, le=_MAX_LIMIT)] = _DEFAULT_LIMIT,
    after: Ref | None = None,
) -> BatchList:
    """List the batches of your key's project and environment, newest first."""
    return BatchList.of(await batches.list(tx, caller, Window(limit, after)))


@router.get("/{batch}", responses=problems(NotFound))
async def get(batch: Ref, caller: Caller, tx: ReadTx) -> BatchOut:
    """Return a batch: where it is, and how many of its lines have ended."""
    return BatchOut.of(await batches.get(tx, caller, batch))


@router.post("/{batch}/cancel", responses=problems(NotFound, Forbidden, BatchEnded))
async def cancel(batch: Ref, caller: Caller, tx: WriteTx) -> BatchOut:
    """End a batch before its time; what was answered is kept."""
    return BatchOut.of(await batches.cancel(tx, caller, batch))
