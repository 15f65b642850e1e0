"""
Knows when there is something new for the gateways, whichever process committed it.

New is a later revision of the table, another use of a budget, and another number of gateways.
"""

import asyncio
from collections.abc import Callable, Collection

from towpath_server.core import log as logging
from towpath_server.core import revision
from towpath_server.core.db import Database
from towpath_server.core.errors import TowpathError
from towpath_server.domains.budgets.service import books

log = logging.get(__name__)

# Changes of this process are told at once; those of other control planes are seen this often.
INTERVAL_S = 0.2
# Where the database's files tell that nobody has committed, it is asked this often all the same.
_QUIET_S = 5.0
# How many revisions a gateway may be behind and still get a batch instead of a snapshot.
KEPT_REVISIONS = 100_000
_FORGET_EVERY_S = 600.0


# A gateway with traffic ships records every second; one that has been silent for longer than this
# takes part in no limit.
_ACTIVE_MS = 10_000


class Watch:
    """The latest routing revision, and a way to wait for the next and for other news."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._latest = 0
        self._seen = 0
        self._beside: tuple[object, ...] = ()
        self.active: Collection[str] = ()
        """Gateways whose records were stored lately, by whichever control plane."""
        self.count: Callable[[], int] | None = None
        """Counts the gateways that take part."""
        self._changed = asyncio.Event()
        self._closed = False
        db.after_commit.append(self.notify)

    def notify(self, latest: int) -> None:
        """Wake who waits: this revision is committed."""
        if latest > self._latest:
            self._latest = latest
            self._wake()

    def close(self) -> None:
        """Let nobody wait any longer: the link is being closed."""
        self._closed = True
        self._wake()

    @property
    def closed(self) -> bool:
        """Whether the link is being closed."""
        return self._closed

    @property
    def seen(self) -> int:
        """Return what `news` takes: how often there was something new so far."""
        return self._seen

    async def news(self, seen: int) -> None:
        """Wait until there is something new, or the link is closed."""
        while self._seen == seen and not self._closed:
            await self._changed.wait()

    async def beyond(self, seen: int) -> None:
        """Wait until a revision later than `seen` is committed, or the link is closed."""
        while self._latest <= seen and not self._closed:
            await self._changed.wait()

    async def run(self) -> None:
        """Look at the database until cancelled; gateways go on while it is away."""
        forget_at = asyncio.get_running_loop().time() + _FORGET_EVERY_S
        away = False
        seen, look_at = None, 0.0
        while True:
            stamp, now = self._db.stamp(), asyncio.get_running_loop().time()
            if stamp is not None and stamp == seen and now < look_at and not away:
                await asyncio.sleep(INTERVAL_S)
                continue
            seen, look_at = stamp, now + _QUIET_S
            try:
                async with self._db.read() as tx:
                    self.notify(await revision.current(tx))
                await self._look_beside()
                if now >= forget_at:
                    forget_at = now + _FORGET_EVERY_S
                    async with self._db.write() as tx:
                        await revision.forget(tx, before=self._latest - KEPT_REVISIONS)
                if away:
                    log.info("database.returned")
                away = False
            except TowpathError as error:
                if not away:
                    log.warning("database.lost", detail=error.detail, **error.log)
                away = True
            await asyncio.sleep(INTERVAL_S)

    async def _look_beside(self) -> None:
        """Look at what the ledger knows; its use is told this often and no sooner, however fast."""
        async with self._db.ledger_read() as ledger:
            position = await books.position(ledger)
            self.active = await books.active(ledger, within_ms=_ACTIVE_MS)
        beside = (position, self.count() if self.count else 0)
        if beside != self._beside:
            self._beside = beside
            self._wake()

    def _wake(self) -> None:
        self._seen += 1
        self._changed.set()
        self._changed = asyncio.Event()
