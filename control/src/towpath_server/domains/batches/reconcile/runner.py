"""
One step of one batch: validate, run, write its files.

Each step starts from what the database says and may be cut off anywhere. What a call was answered
is stored by the number of its line, and a line with a result is never called again. Only calls that
were in flight when the process died are made anew: nobody can know what became of them.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from towpath_server.adapters.objectstore.errors import ArtifactMissing
from towpath_server.adapters.objectstore.store import ArtifactStore, StoredBlob
from towpath_server.core import log as logging
from towpath_server.core.clock import to_ms
from towpath_server.core.config import BatchSettings
from towpath_server.core.db import Database
from towpath_server.domains.batches.models import ACTIVE, Batch, Flaw, Line, Result, Status
from towpath_server.domains.batches.reconcile import lines
from towpath_server.domains.batches.reconcile.calls import (
    Caller,
    Credential,
    Gateway,
    KeyEnded,
    failed,
)
from towpath_server.domains.batches.reconcile.throttle import Throttle
from towpath_server.domains.batches.service import moves

log = logging.get(__name__)

_LOOK_S = 1.0  # how soon a running batch notices that it was cancelled, or that its time is over
_PAGE = 200  # results that are read at a time while a file is written
_KEY_ENDED = Flaw("key_ended", "The key that made the batch was revoked, or has expired.")
_EXPIRED = "This request could not be executed before the completion window expired."


@dataclass(frozen=True)
class Runner:
    """Takes the steps of batches."""

    db: Database
    blobs: ArtifactStore
    limits: BatchSettings
    gateway: Gateway
    room: asyncio.Semaphore
    """Calls that all batches together may have in flight."""
    sources: tuple[str, ...] | None
    """Networks that calls come from."""
    applied: Callable[[int], Awaitable[bool]]
    """Waits, bounded, until the gateways have a revision of the routing table."""

    async def step(self, id: str) -> bool:  # noqa: A002
        """Take one step; tell whether there was one to take."""
        async with self.db.read() as tx:
            batch = await moves.read(tx, id)
        if batch is None or batch.status not in ACTIVE:
            return False
        if batch.ends_as is not None:
            await self._write_files(batch)
        elif batch.status is Status.CANCELLING:
            await self._close(batch, Status.CANCELLED)
        elif self.over(batch):
            await self._close(batch, Status.EXPIRED)
        elif batch.status is Status.VALIDATING:
            await self._validate(batch)
        else:
            await self._run(batch)
        return True

    def over(self, batch: Batch) -> bool:
        """Tell whether a batch's time is over."""
        return to_ms(self.db.clock.now()) >= batch.expires_at_ms

    async def _close(self, batch: Batch, ends_as: Status, *flaws: Flaw) -> None:
        async with self.db.write() as tx:
            await moves.close(tx, batch, ends_as, flaws)

    async def _validate(self, batch: Batch) -> None:
        try:
            content = self.blobs.chunks(batch.input_digest)
            total, flaws = await lines.validate(batch, content, self.limits)
        except ArtifactMissing:
            total, flaws = 0, [Flaw("file_missing", "The bytes of the file are gone.")]
        async with self.db.write() as tx:
            if flaws:
                await moves.refuse(tx, batch, flaws)
            else:
                await moves.begin(tx, batch, total=total)

    async def _run(self, batch: Batch) -> None:
        """Call for every line that has no result, until all have one or the batch is to end."""
        credential = Credential(self.db, batch, sources=self.sources, applied=self.applied)
        calls = _Calls(self, batch, credential)
        try:
            if await calls.all():
                await self._close(batch, Status.COMPLETED)
        except* KeyEnded:
            await self._close(batch, Status.FAILED, _KEY_ENDED)
        finally:
            await asyncio.shield(credential.withdraw())

    async def _write_files(self, batch: Batch) -> None:
        """Write what came of the lines to files, and end the batch; the same bytes every time."""
        unrun = 0
        if batch.ends_as is Status.EXPIRED:
            async with self.db.read() as tx:
                unrun = batch.total - len(await moves.done(tx, batch))
        output = errors = None
        if batch.completed:
            output = await self._store(self._results(batch, ok=True))
        if batch.failed or unrun:
            errors = await self._store(self._errors(batch, unrun=unrun))
        async with self.db.write() as tx:
            await moves.end(tx, batch, output=output, errors=errors, unrun=unrun)

    async def _store(self, texts: AsyncIterator[bytes]) -> StoredBlob:
        return await self.blobs.take(texts)

    async def _results(self, batch: Batch, *, ok: bool) -> AsyncIterator[bytes]:
        after = -1
        while True:
            async with self.db.read() as tx:
                page = await moves.results_after(tx, batch, after, ok=ok, limit=_PAGE)
            if not page:
                return
            after = page[-1].index
            yield "".join(f"{one.document}\n" for one in page).encode()

    async def _errors(self, batch: Batch, *, unrun: int) -> AsyncIterator[bytes]:
        async for piece in self._results(batch, ok=False):
            yield piece
        if not unrun:
            return
        async with self.db.read() as tx:
            done = await moves.done(tx, batch)
        async for line in read_lines(self, batch):
            if line.index not in done:
                yield f"{failed(line, 'batch_expired', _EXPIRED).document}\n".encode()


async def read_lines(runner: Runner, batch: Batch) -> AsyncIterator[Line]:
    """Read the lines of a batch that was validated."""
    content = runner.blobs.chunks(batch.input_digest)
    async for raw in lines.split(content, line_bytes=runner.limits.line_bytes):
        line = lines.read(raw, batch.url)
        if isinstance(line, Line):
            yield line


class _Calls:
    """The calls of one run of one batch: made in order of the lines, as there is room."""

    def __init__(self, runner: Runner, batch: Batch, credential: Credential) -> None:
        self._runner = runner
        self._batch = batch
        most = runner.limits.concurrency
        self._throttle = Throttle(most, asyncio.get_running_loop().time)
        self._caller = Caller(runner.gateway, batch, credential, self._throttle, runner.room)
        self._waiting = asyncio.Semaphore(most)
        self._found: asyncio.Queue[Result | None] = asyncio.Queue(maxsize=2 * most)

    async def all(self) -> bool:
        """Return true once every line has a result; false when the batch is to end before."""
        storing = asyncio.create_task(self._store())
        ending = asyncio.create_task(self._until_ending())
        calling = asyncio.create_task(self._call_all())
        try:
            await asyncio.wait({storing, ending, calling}, return_when=asyncio.FIRST_COMPLETED)
            if calling.done():
                await calling
                return True
            if storing.done():
                await storing  # it ends by itself only when it fails
            return False
        finally:
            for task in (calling, ending):
                task.cancel()
            await asyncio.gather(calling, ending, return_exceptions=True)
            # What was answered is stored, whatever ended the run.
            if not storing.done():
                await self._found.put(None)
                await storing

    async def _call_all(self) -> None:
        async with self._runner.db.read() as tx:
            done = await moves.done(tx, self._batch)
        async with asyncio.TaskGroup() as group:
            async for line in read_lines(self._runner, self._batch):
                if line.index not in done:
                    await self._waiting.acquire()
                    group.create_task(self._call(line))

    async def _call(self, line: Line) -> None:
        try:
            await self._found.put(await self._caller.call(line))
        finally:
            self._waiting.release()

    async def _store(self) -> None:
        """Store results as they come, all that are there in one transaction, until told to end."""
        found: Result | None = None
        while (found := await self._found.get()) is not None:
            some, last = [found], False
            while not self._found.empty() and not last:
                more = self._found.get_nowait()
                last = more is None
                some += [] if more is None else [more]
            async with self._runner.db.write() as tx:
                await moves.results(tx, self._batch, some)
            if last:
                return

    async def _until_ending(self) -> None:
        """Return when the batch was cancelled, or its time is over."""
        while True:
            await asyncio.sleep(_LOOK_S)
            async with self._runner.db.read() as tx:
                now = await moves.read(tx, self._batch.id)
            if now is None or now.status is not Status.IN_PROGRESS or self._runner.over(now):
                return
