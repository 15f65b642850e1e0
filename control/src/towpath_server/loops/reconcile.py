"""
The reconcile loop: level-triggered, one step of one resource at a time.

What was changed wakes the loop for itself alone. Beside that, what is on its way is looked at every
few seconds, and everything once a minute: losing a wake-up delays work and breaks nothing, and what
is looked at twice changes nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from towpath_server.core import log as logging
from towpath_server.core.errors import TowpathError
from towpath_server.loops.lease import Lease

log = logging.get(__name__)

INTERVAL_S = 5.0  # the longest that a lost wake-up delays what is on its way
WHOLE_S = 60.0  # and what was thought to be settled
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
    moving: Callable[[], Awaitable[Sequence[str]]] | None = None
    """Ids of those that are on their way; none: they are not told apart."""
    prefix: str | None = None
    """How its ids begin, where it can be woken for one of them."""


@dataclass
class _Trouble:
    kind: Kind
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
        self._due: set[str] = set()
        self._whole_at: float | None = None
        self.looked = asyncio.Event()
        """Set once everything has been looked at since the start."""
        self._trouble: dict[str, _Trouble] = {}

    def wake(self, resource: str | None = None) -> None:
        """Look at this resource again, or at everything, soon."""
        if resource is None:
            self._whole_at = None
        elif any(kind.prefix and resource.startswith(kind.prefix) for kind in self._kinds):
            self._due.add(resource)
        else:
            return
        self._wake.set()

    async def run(self) -> None:
        """Reconcile until cancelled."""
        look_at = 0.0
        while True:
            self._wake.clear()
            if self._whole_at is None or _monotonic() >= self._whole_at:
                whole_at = _monotonic() + WHOLE_S
                self._whole_at = whole_at
                if not await self.round() and self._whole_at == whole_at:
                    self._whole_at = _monotonic() + self._interval_s
                look_at = _monotonic() + self._interval_s
            elif _monotonic() >= look_at:
                await self._guarded(self._look)
                look_at = _monotonic() + self._interval_s
            else:
                await self._guarded(self._woken)
            try:
                async with asyncio.timeout(self._pause_s(look_at)):
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
        done = await self._guarded(self._everything)
        if done:
            self.looked.set()
        return done

    async def _guarded(self, work: Callable[[], Awaitable[None]]) -> bool:
        try:
            if not await self._lease.held():
                return False
            await work()
        except TowpathError as error:  # the database is away; the models go on meanwhile
            log.warning("loop.interrupted", code=error.code, detail=error.detail, **error.log)
            return False
        return True

    async def _everything(self) -> None:
        self._due.clear()
        for kind in self._kinds:
            for resource in await kind.pending():
                await self._settle(kind, resource)

    async def _look(self) -> None:
        for kind in self._kinds:
            for resource in await (kind.moving or kind.pending)():
                await self._settle(kind, resource)
        await self._woken()

    async def _woken(self) -> None:
        due, self._due = self._due, set()
        now = _monotonic()
        again = [(one.kind, id_) for id_, one in self._trouble.items() if one.retry_at <= now]
        for kind, resource in again:
            await self._settle(kind, resource)
        for kind in self._kinds:
            for resource in sorted(due):
                if kind.prefix and resource.startswith(kind.prefix):
                    await self._settle(kind, resource)

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
        self._trouble[resource] = _Trouble(kind, attempts, _monotonic() + delay)

    def _pause_s(self, look_at: float) -> float:
        retries = [trouble.retry_at for trouble in self._trouble.values()]
        soonest = min([look_at, *retries])
        return max(0.05, min(self._interval_s, soonest - _monotonic()))


def _monotonic() -> float:
    return asyncio.get_running_loop().time()
