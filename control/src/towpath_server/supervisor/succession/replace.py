"""Replaces the parts one after the other: first the control plane, then the gateway."""

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path

from towpath_server.supervisor.child import Child, Gate, Part

# A control plane migrates its database before it is ready.
CONTROL_READY_S = 120.0
# The old one ends its requests in 5 s, and lets go of what hangs in another 5 s.
CONTROL_ENDS_S = 20.0
GATEWAY_READY_S = 60.0
# It says so within milliseconds; a gateway that hangs is not waited for.
GATEWAY_LEAVES_S = 10.0
MAX_FAILED_STARTS = 3
HAND_OVER = signal.SIGUSR1
_LOOK_S = 0.02


class NotReplaced(Exception):
    """The new part did not become ready; the one before goes on."""

    def __init__(self, what: str, log: Path) -> None:
        super().__init__(what)
        self.what = what
        self.log = log


async def control_plane(child: Child, part: Part) -> None:
    """
    End the control plane and start the new one; what connects meanwhile waits for it.

    Raises:
        NotReplaced: The new one never was ready, and the one before was started again.
    """
    former, pid = child.part, child.pid
    child.replace(part, HAND_OVER)
    killing = asyncio.get_running_loop().call_later(
        CONTROL_ENDS_S, lambda: child.signal(signal.SIGKILL) if child.pid == pid else None
    )
    why = await _until_ready(child, CONTROL_READY_S)
    killing.cancel()
    if why is not None:
        said = "\n".join(child.last_lines())
        child.replace(former, signal.SIGKILL)
        raise NotReplaced(f"the new control plane {why}:\n{said}", former.log)


async def gateway(
    old: Child, part: Part, make: Callable[[Part, Gate], Child], *, run: Path
) -> Child:
    """
    Start a gateway beside the one that runs, and let it accept once the other has stopped to.

    Returns:
        The new one; the old one ends by itself when it has answered all that it had.

    Raises:
        NotReplaced: It was not ready in time, and was ended. The old one goes on.
    """
    gate = Gate()
    new = make(part, gate)
    why = await _until_ready(new, GATEWAY_READY_S)
    if why is not None:
        said = "\n".join(new.last_lines())
        await new.stop(within_s=1.0)
        gate.close()
        raise NotReplaced(f"the new gateway {why}:\n{said}", part.log)
    note = run / f"gateway-{old.pid or 0}.pid"
    old.leave(HAND_OVER)
    left = [asyncio.ensure_future(event.wait()) for event in (old.leaving, old.gone)]
    await asyncio.wait(left, timeout=GATEWAY_LEAVES_S, return_when=asyncio.FIRST_COMPLETED)
    for waiting in left:
        waiting.cancel()
    gate.open()
    # Under a name that the next start finds, should this process be killed; also where it has
    # ended, since what it removes at its end must not be the new one's note.
    old.rename(note)
    new.rename(run / "gateway.pid")
    return new


async def _until_ready(child: Child, within_s: float) -> str | None:
    """Wait until a part is ready; return why it is not."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_s
    while not child.ready.is_set():
        if child.failed is not None:
            return "cannot be started"
        if child.deaths_before_ready >= MAX_FAILED_STARTS:
            return f"ended {child.deaths_before_ready} times before it was ready"
        if loop.time() > deadline:
            return f"was not ready within {within_s:.0f} s"
        await asyncio.sleep(_LOOK_S)
    return None
