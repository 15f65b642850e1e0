"""Ports that are free now, for programs that must be told theirs."""

import contextlib
import socket


def free(count: int) -> list[int]:
    """Take so many at once, so that they differ."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
