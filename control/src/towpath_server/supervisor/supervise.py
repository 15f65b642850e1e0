"""Runs the parts from start to stop: awaits readiness, replaces what dies, drains in order."""

import asyncio
import contextlib
import math
import signal
import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from towpath_server.supervisor import output, readiness
from towpath_server.supervisor.child import Announcement, Child, Gate, Handed, Part
from towpath_server.supervisor.errors import CannotStart
from towpath_server.supervisor.progress import Progress, duration
from towpath_server.supervisor.succession import handover

# The gateway ends its drain by itself after 30 s at most; the rest is for closing its journal.
GATEWAY_DRAIN_S = 40.0
# Model servers get their own time to end (10 s by default), one after the other at worst.
CONTROL_STOP_S = 40.0
# After a second Ctrl-C: enough to kill the model servers, too short to feel like waiting.
HARSH_STOP_S = 3.0
# So many starts in a row that ended before they were ready, while `up` itself starts: a broken
# installation, which waiting does not mend.
MAX_FAILED_STARTS = 5
# A model that has not loaded by then has probably more than a cold disk.
LONG_LOAD_S = 60.0
_LOG_CHECK_S = 5.0
_READINESS_POLL_S = 0.1


@dataclass
class Platform:
    """What runs: the two parts, and the door that outlives them."""

    door: socket.socket
    gateway_part: Part
    control_part: Part
    progress: Progress
    on_keys: Callable[[Announcement], None]
    on_ready: Callable[[], None]
    secure: bool = False
    """Whether the front door speaks TLS."""
    models: list[str] = field(default_factory=list)
    ask: Callable[["Platform"], Awaitable[None]] | None = None
    """Answers who wants it replaced, for as long as it runs."""
    resumed: handover.State | None = None
    """What the program image before this one left: everything runs already."""

    def __post_init__(self) -> None:
        self._stop = asyncio.Event()
        self._signals = 0
        self._refusal: CannotStart | None = None
        self._host, self._port = self.door.getsockname()[:2]
        self._serving = self.resumed is not None
        self._loading: list[str] = []
        self._loaded = asyncio.Event()
        self._waiting = ""
        """What the control plane says it waits for."""
        self.beside: list[Child] = []
        """Gateways beside the one that accepts: before they do, and until they have answered."""
        left = self.resumed
        control = self.control_part
        if left is not None and left.control is not None:
            control = replace(control, command=left.control_command)
        self.control = Child(
            control,
            announced=self._announced,
            ended=self._ended,
            handed=left.control if left else None,
        )
        self.gateway = self._gateway(left.gateway if left else None)

    async def run(self) -> None:
        """
        Run until a signal says to stop, then stop in order.

        Raises:
            CannotStart: A part said that it cannot be started, or never was ready.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._signalled)
        handover.listen_to_signals()
        async with asyncio.TaskGroup() as group:
            self._group = group
            group.create_task(self.control.run())
            group.create_task(self.gateway.run())
            for left in self.resumed.leaving if self.resumed else ():
                self._let_end(left)
            beside = [group.create_task(self._bound_logs())]
            if self.ask is not None:
                beside.append(group.create_task(_awaited(self.ask(self))))
            try:
                if self._serving or await self._until_ready():
                    if not self._serving:
                        self._serving = True
                        self.on_ready()
                    await self._stop.wait()
            finally:
                for task in beside:
                    task.cancel()
                await self._stop_in_order()
        if self._refusal is not None:
            raise self._refusal

    @property
    def serves(self) -> bool:
        """Whether it has been ready, and is not being stopped."""
        return self._serving and not self._stop.is_set()

    def start_beside(self, part: Part, gate: Gate) -> Child:
        """Start a gateway that accepts once the gate is open."""
        child = Child(
            replace(part, pid_file=part.pid_file.with_name("gateway-next.pid")),
            ended=self._ended,
            gate=gate,
        )
        self.beside.append(child)
        self._group.create_task(child.run())
        return child

    def took_over(self, new: Child) -> None:
        """Note that another gateway accepts; the one before ends when it has answered."""
        former, self.gateway = self.gateway, new
        self.beside = [child for child in self.beside if child is not new and child.pid]
        self.beside.append(former)

    def _gateway(self, handed: Handed | None) -> Child:
        return Child(self.gateway_part, ended=self._ended, handed=handed)

    def _let_end(self, handed: Handed) -> None:
        """Watch a gateway that another one has taken over from, and start none in its place."""
        note = self.gateway_part.pid_file.with_name(f"gateway-{handed.pid}.pid")
        child = Child(replace(self.gateway_part, pid_file=note), handed=handed, last=True)
        self.beside.append(child)
        self._group.create_task(child.run())

    async def _until_ready(self) -> bool:
        """Wait for readiness, showing its reasons; false when told to stop before."""
        steps = [("control plane", self.control.ready), ("gateway", self.gateway.ready)]
        for name, ready in steps:
            self.progress.begin(name)
            while not ready.is_set():
                if not await self._go_on(self._waiting):
                    return False
            self.progress.done()
        self.progress.begin("models")
        began = time.monotonic()
        while (why := await readiness.reasons(self._host, self._port, secure=self.secure)) != []:
            if not await self._go_on("; ".join(why or ["the gateway does not answer"])):
                return False
            if time.monotonic() - began > LONG_LOAD_S:
                began = math.inf
                self.progress.say("`towpath deployments` tells why a model takes so long")
        # Ready means that calls are taken; a person who tries the next line wants them answered.
        while not self._loaded.is_set():
            if not await self._go_on("loading " + (", ".join(self._loading) or "…")):
                return False
        self.progress.done(" · ".join(self.models))
        for name in self._loading:
            self.progress.say(f"`{name}` is not loaded yet: `towpath deployments show {name}`")
        return True

    async def _go_on(self, waiting_for: str) -> bool:
        """Show what is waited for, and wait a moment; false when there is nothing to wait for."""
        self._refusal = self._refusal or self._broken()
        if self._refusal is None:
            self.progress.waiting(waiting_for)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_READINESS_POLL_S):
                    await self._stop.wait()
            if not self._stop.is_set():
                return True
        self.progress.interrupted()
        return False

    def _broken(self) -> CannotStart | None:
        for child in (self.control, self.gateway):
            if child.failed is not None:
                return CannotStart(f"the {child.part.name} cannot be started: {child.failed}")
            if child.deaths_before_ready >= MAX_FAILED_STARTS:
                said = "\n  ".join(child.last_lines()) or "it said nothing"
                return CannotStart(
                    f"the {child.part.name} ended {child.deaths_before_ready} times before it was "
                    f"ready; its last words:\n  {said}",
                    fix=f"read `{child.part.log}`, mend what it says, and start again",
                )
        return None

    def _announced(self, said: Announcement) -> None:
        match said.get("event"):
            case "keys":
                self.on_keys(said)
            case "loading":
                self._loading = _names(said.get("names"))
            case "loaded":
                self.models = _names(said.get("names"))
                self._loading = _names(said.get("missing"))
                self._loaded.set()
            case "waiting":
                self._waiting = str(said.get("reason", "")).rstrip(".")
            case "failed" if not self._serving:
                fix = said.get("fix")
                self._refusal = CannotStart(str(said.get("detail")), fix=str(fix) if fix else None)

    def _ended(self, child: Child, code: int, ran_s: float) -> None:
        how = f"signal {-code}" if code < 0 else f"exit status {code}"
        if self._serving:
            clock = time.strftime("%H:%M:%S")
            self.progress.say(
                f"{clock}  {child.part.name} ended ({how}) after {duration(ran_s)}; started again"
            )

    def _signalled(self) -> None:
        self._signals += 1
        if self._signals == 1:
            self._stop.set()
            return
        self.progress.say("stopping at once")
        for one in (self.gateway, *self.beside):
            one.signal(signal.SIGKILL)
        # Twice: the control plane, too, takes the second as "at once", and kills its model servers.
        self.control.signal(signal.SIGTERM)
        self.control.signal(signal.SIGTERM)
        asyncio.get_running_loop().call_later(HARSH_STOP_S, self.control.signal, signal.SIGKILL)

    async def _stop_in_order(self) -> None:
        # Who connects now is refused at once, instead of waiting for a gateway that will not come.
        self.door.close()
        self.progress.begin("gateway")
        self.progress.waiting("requests in flight end first; Ctrl-C again stops at once")
        await asyncio.gather(
            *(one.stop(within_s=GATEWAY_DRAIN_S) for one in (self.gateway, *self.beside))
        )
        self.progress.done("stopped")
        self.progress.begin("control plane")
        await self.control.stop(within_s=CONTROL_STOP_S)
        self.progress.done("stopped, with its models")

    async def _bound_logs(self) -> None:
        while True:
            for part in (self.gateway_part, self.control_part):
                # A disk that is full is told about by the parts themselves, in their readiness.
                with contextlib.suppress(OSError):
                    await asyncio.to_thread(output.bound, part.log)
            await asyncio.sleep(_LOG_CHECK_S)


async def _awaited(work: Awaitable[None]) -> None:
    await work


def _names(said: object) -> list[str]:
    return [str(name) for name in said] if isinstance(said, list) else []
