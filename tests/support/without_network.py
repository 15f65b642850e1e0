"""
Start the platform twice in a network namespace of its own and say what happened, as JSON.

Run as `unshare --net python without_network.py FOLDER`: there is nothing but the loopback device then,
and that is brought up first.
"""

import fcntl
import json
import socket
import struct
import sys
from pathlib import Path

import httpx2
import towpath_up

_SET_FLAGS = 0x8914  # SIOCSIFFLAGS
_UP_AND_RUNNING = 0x1 | 0x40  # IFF_UP, IFF_RUNNING


def loopback() -> None:
    """Bring the namespace's loopback device up."""
    with socket.socket() as any_socket:
        request = struct.pack("16sh22x", b"lo", _UP_AND_RUNNING)
        fcntl.ioctl(any_socket, _SET_FLAGS, request)


def outside() -> str:
    """Try to leave; return why it failed."""
    try:
        socket.create_connection(("192.0.2.1", 80), timeout=5).close()
    except OSError as error:
        return type(error).__name__
    return "reached"


def answer(up: towpath_up.Up) -> str | None:
    """Ask the demo's model something."""
    body = {"model": "smollm2", "messages": [{"role": "user", "content": "Say hello."}]}
    with httpx2.Client(timeout=120, trust_env=False) as http:
        response = http.post(
            f"{up.address}/v1/chat/completions",
            json=body,
            headers={"authorization": f"Bearer {up.demo_key}"},
        )
    if not response.is_success:
        sys.stderr.write(response.text)
        return None
    return response.json()["choices"][0]["message"]["content"]


def main() -> None:
    """Start it on a fresh folder, call it, and start it again."""
    loopback()
    answers = []
    folder = Path(sys.argv[1])
    with towpath_up.running(folder, demo=True) as up:
        answers.append(answer(up))
        up.stop()
        up.start()
        answers.append(answer(up))
    sys.stdout.write(json.dumps({"outside": outside(), "answers": answers}) + "\n")


if __name__ == "__main__":
    main()
