"""Where `towpath up` is asked to replace itself: a socket of this user's in the data folder."""

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from towpath_server.core import build
from towpath_server.supervisor.succession import handover, replace, report
from towpath_server.supervisor.succession.handover import State
from towpath_server.supervisor.succession.report import Refused

if TYPE_CHECKING:
    from towpath_server.supervisor.supervise import Platform

_ASKED_S = 10.0
_LOOK_S = 0.05
# How long a control plane that is ready may take to say which build it is.
_TOLD_S = 10.0


@dataclass(frozen=True)
class Held:
    """What the program image holds that the next one needs."""

    arguments: list[str]
    sockets: Mapping[str, int]
    data: Path
    run: Path


class Client:
    """Whoever asked, as far as they are still there; one JSON object a line."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def fileno(self) -> int:
        """Return the connection's descriptor."""
        return self._connection.fileno()

    def say(self, event: str, **fields: Any) -> None:
        """Tell what happens; nobody has to listen."""
        with contextlib.suppress(OSError):
            line = json.dumps({"event": event, **fields}) + "\n"
            self._connection.sendall(line.encode())

    def close(self) -> None:
        """End the conversation."""
        self._connection.close()


class Desk:
    """Answers `towpath upgrade`, one at a time."""

    def __init__(self, listener: socket.socket, held: Held, resumed: State | None = None) -> None:
        self._listener = listener
        self._held = held
        self._resumed = resumed
        self._busy = resumed is not None

    async def run(self, platform: "Platform") -> None:
        """Answer until cancelled; go on first with the upgrade that this image was started for."""
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:
            if self._resumed is not None:
                client = Client(socket.socket(fileno=self._resumed.client))
                group.create_task(self._go_on(platform, client))
            while True:
                try:
                    connection, _ = await loop.sock_accept(self._listener)
                except OSError:  # out of descriptors: whoever asks, asks again
                    await asyncio.sleep(1.0)
                    continue
                group.create_task(self._answer(platform, connection))

    async def _answer(self, platform: "Platform", connection: socket.socket) -> None:
        client = Client(connection)
        try:
            async with asyncio.timeout(_ASKED_S):
                asked = await _line(connection)
            connection.setblocking(True)  # noqa: FBT003
            connection.settimeout(_ASKED_S)
            await self._do(platform, client, asked)
        except (TimeoutError, ValueError, KeyError, TypeError, OSError):
            client.say("failed", what="the question was not understood", fix="")
        finally:
            client.close()

    async def _do(self, platform: "Platform", client: Client, asked: dict[str, Any]) -> None:
        python = str(asked["python"])
        if self._busy:
            client.say(
                "failed",
                what="an upgrade is going on",
                fix="wait until it has ended, and ask again",
            )
            return
        try:
            written = await self._report(platform, python)
        except Refused as error:
            client.say("failed", what=error.what, fix=error.fix)
            return
        client.say("report", report=written)
        if asked.get("do") != "upgrade" or not written["possible"]:
            return
        if not platform.serves:
            client.say("failed", what="`towpath up` is not ready yet", fix="ask again when it is")
            return
        client.say("step", name="supervisor")
        try:
            handover.become(python, self._state(platform, client))
        except OSError as error:
            client.say(
                "failed",
                what=f"`{python}` cannot be run: {error}",
                fix="install the new build again; what runs is as it was",
            )

    async def _report(self, platform: "Platform", python: str) -> report.Report:
        """
        Compare what runs with another build.

        Raises:
            Refused: That one cannot be asked.
        """
        part = platform.control_part
        then = await asyncio.to_thread(report.ask, python, part.command, part.environment)
        for _ in range(round(_TOLD_S / _LOOK_S)):
            if "build" in platform.control.said:
                break
            await asyncio.sleep(_LOOK_S)
        said = platform.control.said
        now = {
            "control": said.get("build", {}),
            # The program that runs, even where its file was replaced since.
            "gateway": await asyncio.to_thread(
                build.of_gateway, Path(f"/proc/{platform.gateway.pid}/exe")
            )
            or {},
        }
        took = said.get("ready", {})
        start_s = took.get("took_s") if isinstance(took, dict) else None
        return report.write(now, then, data=self._held.data, start_s=start_s)

    def _state(self, platform: "Platform", client: Client) -> State:
        leaving = [child.hand_on() for child in platform.beside]
        return State(
            arguments=self._held.arguments,
            sockets=dict(self._held.sockets),
            client=client.fileno(),
            control=platform.control.hand_on(),
            gateway=platform.gateway.hand_on(),
            leaving=[one for one in leaving if one is not None],
            control_command=[*platform.control.part.command],
            models=platform.models,
        )

    async def _go_on(self, platform: "Platform", client: Client) -> None:
        """Replace the parts, after this image has taken the place of the one before."""
        try:
            client.say("step", name="control plane")
            await replace.control_plane(platform.control, platform.control_part)
            client.say("step", name="gateway")
            old = platform.gateway
            new = await replace.gateway(
                old, platform.gateway_part, platform.start_beside, run=self._held.run
            )
            platform.took_over(new)
            client.say("done", pid=os.getpid())
            platform.progress.say("upgraded: the former gateway ends when it has answered")
        except replace.NotReplaced as error:
            said = f"{error.what}\nThe one before goes on."
            platform.progress.say(f"not upgraded: {said}")
            client.say("failed", what=said, fix=f"read `{error.log}`, mend what it says, try again")
        finally:
            self._busy = False
            client.close()


async def _line(connection: socket.socket) -> dict[str, Any]:
    """
    Read what is asked: one JSON object on one line.

    Raises:
        ValueError: It is none.
    """
    connection.setblocking(False)  # noqa: FBT003
    loop, read = asyncio.get_running_loop(), b""
    while b"\n" not in read:
        part = await loop.sock_recv(connection, 4096)
        if not part or len(read) > 65_536:
            raise ValueError("no line")
        read += part
    asked = json.loads(read.split(b"\n", 1)[0])
    if not isinstance(asked, dict):
        raise ValueError("no object")  # noqa: TRY004 (of what was read)
    return asked
