"""Runs the parts from start to stop: awaits readiness, replaces what dies, drains in order."""

import asyncio
import contextlib
import math
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from towpath_server.supervisor import output, readiness
from towpath_server.supervisor.child import Announcement, Child, Part
from towpath_server.supervisor.errors import CannotStart
from towpath_server.supervisor.progress import Progress, duration

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

    def __post_init__(self) -> None:
        self._stop = asyncio.Event()
        self._signals = 0
        self._refusal: CannotStart | None = None
        self._host, self._port = self.door.getsockname()[:2]
        self._serving = False
        self._loading: list[str] = []
        self._loaded = asyncio.Event()
        self._waiting = ""
        """What the control plane says it waits for."""
        self.control = Child(self.control_part, announced=self._announced, ended=self._ended)
        self.gateway = Child(
            self.gateway_part,
            is_ready=lambda: readiness.lives(self._host, self._port, secure=self.secure),
            ended=self._ended,
        )

    async def run(self) -> None:
        """
        Run until a signal says to stop, then stop in order.

        Raises:
            CannotStart: A part said that it cannot be started, or never was ready.
        """
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, self._signalled)
        async with asyncio.TaskGroup() as group:
            group.create_task(self.control.run())
            group.create_task(self.gateway.run())
            logs = group.create_task(self._bound_logs())
            try:
                if await self._until_ready():
                    self._serving = True
                    self.on_ready()
                    await self._stop.wait()
            finally:
                await self._stop_in_order()
                logs.cancel()
        if self._refusal is not None:
            raise self._refusal

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
        self.gateway.signal(signal.SIGKILL)
        # Twice: the control plane, too, takes the second as "at once", and kills its model servers.
        self.control.signal(signal.SIGTERM)
        self.control.signal(signal.SIGTERM)
        asyncio.get_running_loop().call_later(HARSH_STOP_S, self.control.signal, signal.SIGKILL)

    async def _stop_in_order(self) -> None:
        # Who connects now is refused at once, instead of waiting for a gateway that will not come.
        self.door.close()
        self.progress.begin("gateway")
        self.progress.waiting("requests in flight end first; Ctrl-C again stops at once")
        await self.gateway.stop(within_s=GATEWAY_DRAIN_S)
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


def _names(said: object) -> list[str]:
    return [str(name) for name in said] if isinstance(said, list) else []
