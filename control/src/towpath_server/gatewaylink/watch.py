"""Knows when there is something new for the gateways, whichever process committed it."""

import asyncio

from towpath_server.core import log as logging
from towpath_server.core import revision
from towpath_server.core.db import Database
from towpath_server.core.errors import TowpathError

log = logging.get(__name__)

# Changes of this process are told at once; those of other control planes are seen this often.
INTERVAL_S = 0.2
# How many revisions a gateway may be behind and still get a batch instead of a snapshot.
KEPT_REVISIONS = 100_000
_FORGET_EVERY = 3_000  # rounds: ten minutes


class Watch:
    """The latest routing revision, and a way to wait for the next."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._latest = 0
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

    async def beyond(self, seen: int) -> None:
        """Wait until a revision later than `seen` is committed, or the link is closed."""
        while self._latest <= seen and not self._closed:
            await self._changed.wait()

    async def run(self) -> None:
        """Look at the database until cancelled; gateways go on while it is away."""
        rounds = 0
        away = False
        while True:
            try:
                async with self._db.read() as tx:
                    self.notify(await revision.current(tx))
                rounds += 1
                if rounds % _FORGET_EVERY == 0:
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

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
