"""
The reconcile loop: level-triggered, one step of one resource at a time.

A wake-up only makes it look sooner. Losing one delays work until the next interval and breaks
nothing; what is looked at twice changes nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from towpath_server.core import log as logging
from towpath_server.core.errors import TowpathError
from towpath_server.loops.lease import Lease

log = logging.get(__name__)

INTERVAL_S = 5.0  # the longest that a lost wake-up delays work
_MAX_STEPS = (
    100  # of one resource in one round: more than any has, so a step that never settles shows
)
_RETRY_FIRST_S = 0.5
_RETRY_CAP_S = 60.0


@dataclass(frozen=True)
class Kind:
    """One kind of resource with a life of its own."""

    name: str
    pending: Callable[[], Awaitable[Sequence[str]]]
    """Ids of all that must be looked at."""
    step: Callable[[str], Awaitable[bool]]
    """Take one step; tell whether there was one to take."""


@dataclass
class _Trouble:
    attempts: int
    retry_at: float


class ReconcileLoop:
    """Moves every resource of some kinds, as long as this instance holds the lease."""

    def __init__(
        self, lease: Lease, kinds: Sequence[Kind], *, interval_s: float = INTERVAL_S
    ) -> None:
        self._lease = lease
        self._kinds = kinds
        self._interval_s = interval_s
        self._wake = asyncio.Event()
        self.looked = asyncio.Event()
        """Set once everything has been looked at since the start."""
        self._trouble: dict[str, _Trouble] = {}

    def wake(self) -> None:
        """Look at everything again, soon."""
        self._wake.set()

    async def run(self) -> None:
        """Reconcile until cancelled."""
        while True:
            self._wake.clear()
            await self.round()
            try:
                async with asyncio.timeout(self._pause_s()):
                    await self._wake.wait()
            except TimeoutError:
                continue

    async def close(self) -> None:
        """Give the lease up, once `run` was cancelled."""
        try:
            await self._lease.release()
        except TowpathError as error:  # it ends by itself
            log.warning("loop.lease_kept", code=error.code, **error.log)

    async def round(self) -> bool:
        """Bring everything as far as it goes now; tell whether this instance may."""
        try:
            if not await self._lease.held():
                return False
            for kind in self._kinds:
                for resource in await kind.pending():
                    await self._settle(kind, resource)
        except TowpathError as error:  # the database is away; the models go on meanwhile
            log.warning("loop.interrupted", code=error.code, detail=error.detail, **error.log)
            return False
        self.looked.set()
        return True

    async def _settle(self, kind: Kind, resource: str) -> None:
        trouble = self._trouble.get(resource)
        if trouble is not None and trouble.retry_at > _monotonic():
            return
        try:
            for _ in range(_MAX_STEPS):
                if not await kind.step(resource):
                    self._trouble.pop(resource, None)
                    return
            log.error("loop.unsettled", kind=kind.name, resource=resource, steps=_MAX_STEPS)
        except Exception:  # one broken resource must not stop the others
            log.exception("loop.step_failed", kind=kind.name, resource=resource)
        attempts = trouble.attempts + 1 if trouble else 1
        delay = min(_RETRY_CAP_S, _RETRY_FIRST_S * 2 ** min(attempts - 1, 16))
        self._trouble[resource] = _Trouble(attempts, _monotonic() + delay)

    def _pause_s(self) -> float:
        retries = [trouble.retry_at for trouble in self._trouble.values()]
        soonest = min(retries, default=_monotonic() + self._interval_s)
        return max(0.05, min(self._interval_s, soonest - _monotonic()))


def _monotonic() -> float:
    return asyncio.get_running_loop().time()
