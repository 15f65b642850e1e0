"""Deliver what a receiver must still be told: bounded attempts, with growing pauses."""

import asyncio

from towpath_server.adapters.webhook import NotDelivered, Webhook
from towpath_server.core import log as logging
from towpath_server.core.db import Database
from towpath_server.core.errors import TowpathError
from towpath_server.domains.notices import service as notices

log = logging.get(__name__)

_LOOK_S = 1.0


class Notifier:
    """Takes one notice after the other; several control planes share them."""

    def __init__(self, db: Database, webhook: Webhook) -> None:
        self._db = db
        self._webhook = webhook

    async def step(self) -> bool:
        """
        Deliver one notice that is due; tell whether there was one.

        The attempt is booked before it is made, so that a crash delays it and nobody makes it
        twice at once.
        """
        async with self._db.write() as tx:
            notice = await notices.take(tx)
        if notice is None:
            return False
        try:
            await self._webhook.deliver(notice.id, notice.at_ms // 1_000, notice.body.encode())
        except NotDelivered as error:
            left = notices.MAX_ATTEMPTS - notice.attempts
            log.warning("webhook.not_delivered", notice=notice.id, why=str(error), left=left)
            if left > 0:
                return True
        async with self._db.write() as tx:
            await notices.close(tx, notice)
        return True

    async def run(self) -> None:
        """Deliver until cancelled."""
        while True:
            busy = False
            try:
                busy = await self.step()
            except TowpathError as error:
                log.warning("webhook.paused", detail=error.detail, **error.log)
            if not busy:
                await asyncio.sleep(_LOOK_S)
