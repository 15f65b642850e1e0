"""
Becomes another build in place: `execve`, with the listeners and the children kept.

What the next program image must know goes through a file in memory, never the command line: its
number does. Signals are held back from just before the change until the new image takes them.
"""

import json
import os
import signal
import sys
from dataclasses import asdict, dataclass, field
from typing import Any, NoReturn

from towpath_server.supervisor.child import Handed

HELD_BACK = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class State:
    """What one image tells the next."""

    arguments: list[str]
    """Those of `towpath up`."""
    sockets: dict[str, int]
    """The listeners' descriptors by name, and the folder's lock."""
    client: int
    """Descriptor of the connection of whoever asked for the upgrade."""
    control: Handed | None
    gateway: Handed | None
    leaving: list[Handed] = field(default_factory=list)
    """Gateways that still answer what they had at an upgrade before."""
    control_command: list[str] = field(default_factory=list)
    """How the control plane that runs was started."""
    models: list[str] = field(default_factory=list)


def become(python: str, state: State) -> NoReturn:
    """
    Go on as the build that is installed for another Python.

    Raises:
        OSError: It cannot be run; this image goes on.
    """
    memory = remember(state)
    kept = [*state.sockets.values(), state.client]
    signal.pthread_sigmask(signal.SIG_BLOCK, HELD_BACK)
    try:
        for descriptor in kept:
            os.set_inheritable(descriptor, True)  # noqa: FBT003
        command = [python, "-P", "-m", "towpath_server", "up", *state.arguments]
        sys.stdout.flush()
        sys.stderr.flush()
        os.execv(python, [*command, "--resume-fd", str(memory)])  # noqa: S606 (no shell is wanted)
    finally:  # it did not work
        for descriptor in kept:
            os.set_inheritable(descriptor, False)  # noqa: FBT003
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_BACK)
        os.close(memory)


def remember(state: State) -> int:
    """Write down what the next image must know, in a file that has no name; return it open."""
    memory = os.memfd_create("towpath-upgrade", 0)
    with os.fdopen(memory, "wb", closefd=False) as file:
        file.write(json.dumps(asdict(state)).encode())
    os.lseek(memory, 0, os.SEEK_SET)
    return memory


def read(descriptor: int) -> State:
    """Take what the former image left; what it kept open is closed with this one again."""
    with os.fdopen(descriptor, "rb") as memory:
        found: dict[str, Any] = json.load(memory)
    control, gateway = _handed(found.pop("control")), _handed(found.pop("gateway"))
    leaving = [Handed(**one) for one in found.pop("leaving")]
    state = State(**found, control=control, gateway=gateway, leaving=leaving)
    for kept in (*state.sockets.values(), state.client):
        os.set_inheritable(kept, False)  # noqa: FBT003
    return state


def listen_to_signals() -> None:
    """Let signals through again, once there is somebody to take them."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_BACK)


def _handed(found: dict[str, Any] | None) -> Handed | None:
    return None if found is None else Handed(**found)
