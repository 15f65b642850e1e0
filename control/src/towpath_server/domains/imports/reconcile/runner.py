"""
One step of one import: fetch what its source has, then register it.

Each step starts from what the database says and may be cut off anywhere. A file that is stored is
never fetched again, a large one goes on where it broke off, and the version appears in the one
transaction that ends the import.
"""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from towpath_server.adapters.facilities import Facilities
from towpath_server.adapters.sources.errors import SourceFailed
from towpath_server.adapters.sources.model import Access, Listing, Source
from towpath_server.core import deferred, formats, sources
from towpath_server.core.db import Database
from towpath_server.core.errors import (
    ConcurrentChange,
    DatabaseUnavailable,
    Kind,
    NameTaken,
    TowpathError,
)
from towpath_server.core.sources import Address
from towpath_server.domains.imports.models import ENDED, Import, ImportFile, Phase, Trouble
from towpath_server.domains.imports.reconcile.bringing import Bringing
from towpath_server.domains.imports.service import moves

MOST_ATTEMPTS = 5
_FIRST_PAUSE_S = 1.0
_LONGEST_WISH_S = 3_600  # a source that asks for more patience is asked sooner
_NAMED = 5  # files in a message
_MAX_PATH = 500  # of a file of a version
_BROKEN = Trouble(
    "InternalError",
    "The platform failed while it worked on this.",
    "Import it again; the server's log has the cause under the import's id.",
)


class Opening(Protocol):
    """Opens a source."""

    def __call__(self, address: Address, access: Access) -> AbstractAsyncContextManager[Source]:
        """Open it; nothing is asked yet."""
        ...


@dataclass(frozen=True)
class Runner:
    """Takes the steps of imports."""

    db: Database
    facilities: Facilities
    open: Opening

    async def step(self, id: str) -> bool:  # noqa: A002
        """Take one step; tell whether there was one to take now."""
        async with self.db.read() as tx:
            found = await moves.read(tx, id)
            waits = found is not None and (found.retry_at_ms or 0) > tx.now_ms
        if found is None or (found.phase in ENDED and not found.cancelled):
            return False
        if found.cancelled:
            await self._clear(found)
            return False
        if waits:
            return False
        try:
            if found.phase is Phase.REGISTERING:
                await self._register(found)
            else:
                await self._fetch(found)
        except (ConcurrentChange, DatabaseUnavailable):
            raise
        except TowpathError as error:
            await self.failed(id, error)
        return True

    async def failed(self, id: str, error: Exception) -> None:  # noqa: A002
        """Note that a step failed: it is tried again later, or that was its last."""
        trouble, again = _trouble(error)
        async with self.db.read() as tx:
            found = await moves.read(tx, id)
        if found is None or found.cancelled or found.phase in ENDED:
            return
        if again and found.attempts + 1 < MOST_ATTEMPTS:
            async with self.db.write() as tx:
                await moves.postpone(tx, found, trouble, after_ms=_pause_ms(found, error))
            return
        await self._discard(await self._files(found))
        async with self.db.write() as tx:
            await moves.fail(tx, found, trouble)

    async def _fetch(self, found: Import) -> None:
        async with self.db.read() as tx:
            access = await moves.access(tx, found)
            came = await moves.files(tx, found)
        address = sources.parse(found.pinned or found.uri)
        async with self.open(address, access) as source:
            listing = await source.listing()
            _check_paths(listing)
            if found.fingerprint != listing.fingerprint:
                await self._discard(came)
            async with self.db.write() as tx:
                found = await moves.listed(tx, found, listing)
                came = await moves.files(tx, found)
            bringing = Bringing(self.db, self.facilities.artifacts, found, source, came)
            if not await bringing.all(listing.files):
                return  # nobody wants it any more
        async with self.db.write() as tx:
            await moves.fetched(tx, found, size=bringing.size)

    async def _register(self, found: Import) -> None:
        paths = sorted(await self._files(found))
        form = found.format or formats.guess(paths)
        if form is None:
            listed = ", ".join(f"`{path}`" for path in paths[:_NAMED])
            more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
            known = ", ".join(f"`{one}`" for one in formats.FORMATS)
            raise SourceFailed(
                "UnknownFormat",
                f"The files do not tell the model's format: {listed}{more}.",
                fix=f"Name it as `format`, `spec.model.format` in a manifest: {known}.",
            )
        await deferred.write(
            self.db, lambda tx: moves.register(tx, self.facilities, found, form=form)
        )

    async def _clear(self, found: Import) -> None:
        """Clear away what came of an import that was cancelled, and the import last."""
        await self._discard(await self._files(found))
        async with self.db.write() as tx:
            await moves.clear(tx, found)

    async def _files(self, found: Import) -> Mapping[str, ImportFile]:
        async with self.db.read() as tx:
            return await moves.files(tx, found)

    async def _discard(self, came: Mapping[str, ImportFile]) -> None:
        for file in came.values():
            if file.upload is not None:
                await self.facilities.artifacts.discard(file.upload)


def _check_paths(listing: Listing) -> None:
    long = next((file.path for file in listing.files if len(file.path) > _MAX_PATH), None)
    if long is not None:
        raise SourceFailed(
            "UnsafePath",
            f"`{long[:60]}…` is longer than {_MAX_PATH} characters.",
            fix="Name the folder that holds the model, or rename the file there.",
        )


def _trouble(error: Exception) -> tuple[Trouble, bool]:
    """Say what went wrong, and whether it may go well another time."""
    if not isinstance(error, TowpathError):
        return _BROKEN, True
    if isinstance(error, SourceFailed):
        return Trouble(error.reason, error.detail, error.fix or ""), error.transient
    again = error.kind in {Kind.UNAVAILABLE, Kind.CONFLICT} and not isinstance(error, NameTaken)
    if error.findings:
        first, more = error.findings[0], len(error.findings) - 1
        said = f"{first.message} ({more} more)" if more else first.message
        return Trouble(first.reason, said, first.fix or error.fix or ""), again
    return Trouble(type(error).__name__, error.detail, error.fix or ""), again


def _pause_ms(found: Import, error: Exception) -> int:
    wish = getattr(error, "retry_after_s", None) or 0
    pause_s = max(_FIRST_PAUSE_S * 2**found.attempts, min(wish, _LONGEST_WISH_S))
    return int(pause_s * 1_000)
