"""The gateways as this control plane sees them: connected or not, and with which table."""

import asyncio
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from towpath_server.core import log as logging
from towpath_server.core.signals import (
    Board,
    BudgetReport,
    LimitReport,
    ReplicaReport,
    ShadowReport,
    TargetReport,
)
from towpath_server.gatewaylink.schemas import Refusal, RoutingPoll, Signals, TargetSignal

log = logging.get(__name__)

# Between two polls a gateway applies what it got; one that stays away longer has died or lost its
# way.
GRACE_S = 5.0
# Ends the id of a gateway that started beside another one on the same folder.
_SLOT = re.compile(r"-[0-9]+$")
# More than any installation has; the oldest that is away makes room.
MAX_GATEWAYS = 1_000


@dataclass
class Gateway:
    """One gateway's last word."""

    id: str
    version: str = ""
    applied: int = 0
    refused: Refusal | None = None
    polls: int = 0
    """Polls that are held right now."""
    last_contact: float = 0.0
    signals: Signals | None = None
    told: int = 0
    """How many gateways it knows to be connected."""

    def connected(self, now: float) -> bool:
        """Tell whether it is on the link, or between two polls."""
        return self.polls > 0 or now - self.last_contact < GRACE_S


class Gateways:
    """All gateways that have polled this process."""

    def __init__(self) -> None:
        self.board = Board()
        self.settle_s = GRACE_S
        self._first_poll: float | None = None
        self._known: dict[str, Gateway] = {}
        self._changed = asyncio.Event()

    def __iter__(self) -> Iterator[Gateway]:
        return iter(self._known.values())

    @contextmanager
    def polling(self, poll: RoutingPoll) -> Iterator[Gateway]:
        """Note what the gateway says, and that it is connected for as long as the poll is held."""
        gateway = self._gateway(poll.gateway_id)
        self._first_poll = _now() if self._first_poll is None else self._first_poll
        if gateway.version != poll.gateway_version:
            log.info("gateway.connected", gateway=gateway.id, version=poll.gateway_version)
        if poll.refused is not None and poll.refused != gateway.refused:
            log.error(
                "gateway.table_refused",
                gateway=gateway.id,
                revision=poll.refused.revision,
                reason=poll.refused.reason,
            )
        gateway.version, gateway.applied = poll.gateway_version, poll.after
        gateway.refused = poll.refused
        gateway.polls += 1
        self._notify()
        try:
            yield gateway
        finally:
            gateway.polls -= 1
            gateway.last_contact = _now()

    def connected(self, active: Collection[str] = ()) -> int:
        """
        Return how many gateways share every limit; 0 while that is not known yet.

        They are those on this control plane's link, and those whose records another one stored
        lately. After a start the gateways come back one by one: each would take the whole of every
        limit, if the first of them were told that it is alone.

        Gateways of one folder are one: while the platform is upgraded, only one of them accepts.

        Args:
            active: Gateways whose records were stored lately.
        """
        now = _now()
        if self._first_poll is None or now - self._first_poll < self.settle_s:
            return 0
        here = {gateway.id for gateway in self if gateway.connected(now)}
        return len({_SLOT.sub("", name) for name in here | set(active)})

    def left(self, gateway: Gateway) -> None:
        """Note that the gateway's connection ended while its poll was held."""
        gateway.last_contact = 0.0
        self._notify()

    def take(self, signals: Signals) -> Sequence[tuple[str, TargetReport]]:
        """
        Keep a gateway's latest signals, and put what it counts on the board.

        Returns:
            What it says of targets, by id.
        """
        self._gateway(signals.gateway_id).signals = signals
        name, at_ms = signals.gateway_id, signals.time_ms
        targets = [(id_, _target(name, at_ms, one)) for id_, one in signals.targets.items()]
        self.board.take(
            name,
            at_ms,
            targets=targets,
            limits=[
                (id_, LimitReport(gateway=name, at_ms=at_ms, **one.model_dump()))
                for id_, one in signals.limits.items()
            ],
            budgets=[
                (id_, BudgetReport(gateway=name, at_ms=at_ms, **one.model_dump()))
                for id_, one in signals.budgets.items()
            ],
        )
        return targets

    async def applied(self, revision: int, *, within_s: float) -> bool:
        """Wait until every connected gateway has the revision in force; false if not in time."""
        try:
            async with asyncio.timeout(within_s):
                while True:
                    changed = self._changed
                    connected = [gateway for gateway in self if gateway.connected(_now())]
                    if connected and all(gateway.applied >= revision for gateway in connected):
                        return True
                    if any(g.refused and g.refused.revision >= revision for g in connected):
                        return False
                    await changed.wait()
        except TimeoutError:
            return False

    def _gateway(self, gateway_id: str) -> Gateway:
        known = self._known.get(gateway_id)
        if known is None:
            if len(self._known) >= MAX_GATEWAYS:
                oldest = min(self, key=lambda gateway: (gateway.polls, gateway.last_contact))
                del self._known[oldest.id]
            known = self._known[gateway_id] = Gateway(gateway_id)
        return known

    def _notify(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def _target(gateway: str, at_ms: int, said: TargetSignal) -> TargetReport:
    replicas = {id_: ReplicaReport(**one.model_dump()) for id_, one in said.replicas.items()}
    shadow = ShadowReport(**said.shadow.model_dump()) if said.shadow else None
    fields = said.model_dump(exclude={"replicas", "shadow"})
    return TargetReport(gateway=gateway, at_ms=at_ms, replicas=replicas, shadow=shadow, **fields)


def _now() -> float:
    return asyncio.get_running_loop().time()
