"""
A real model server that has trouble with its first start, and none with the next.

`python faulty_server.py slow|crash|taken COMMAND…` runs inside the replica's isolation, where nothing of
this distribution but the command itself can be imported. What it has done is remembered in the replica's
home, which outlives the process.

- `slow`: the model takes long to come from a disk that is busy.
- `crash`: the engine ends while it loads.
- `taken`: somebody else listens where the server is to listen.
"""

# ruff: noqa: TID251 (it is a program of its own)
import os
import socket
import sys
import time
from pathlib import Path

SLOW_S = 2.0


def main() -> None:
    fault, command = sys.argv[1], sys.argv[2:]
    mark = Path(os.environ["HOME"], "started")
    first = not mark.exists()
    mark.touch()
    if first and fault == "slow":
        time.sleep(SLOW_S)
    if first and fault == "crash":
        print("cannot load the model: bad magic", flush=True)  # noqa: T201 (into the replica's log)
        sys.exit(7)
    if first and fault == "taken":
        occupy(command[command.index("--listen") + 1].removeprefix("unix:"))
    os.execv(command[0], command)


def occupy(path: str) -> None:
    """Leave a process that listens there until its server has given up."""
    squatter = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    squatter.bind(path)
    squatter.listen()
    if os.fork() == 0:
        while True:  # ended with the server: it is of the same process namespace and group
            squatter.accept()[0].close()


if __name__ == "__main__":
    main()
