"""
What passes between the server and a process with a model: jobs there, answers back.

Bodies pass as they came: a frame is a line of JSON with the lengths, and the bodies after it.
"""

import json
from collections.abc import Sequence
from io import BufferedRWPair as Wire
from typing import Any

from towpath_runtimes.kserve.engine import Done, Job
from towpath_runtimes.kserve.errors import Refused


class Ended(Exception):
    """The other side is gone."""


def send_jobs(to: Wire, jobs: Sequence[Job]) -> None:
    """Send jobs."""
    head = [[len(job.body), job.header_length] for job in jobs]
    _send(to, head, [job.body for job in jobs])


def read_jobs(source: Wire) -> list[Job]:
    """
    Wait for jobs.

    Raises:
        Ended: No more will come.
    """
    return [Job(_exactly(source, size), length) for size, length in _head(source)]


def send_done(to: Wire, done: Sequence[Done]) -> None:
    """Send answers."""
    head: list[Any] = []
    bodies: list[bytes] = []
    for one in done:
        if isinstance(one, Refused):
            head.append([0, one.status, one.message])
        else:
            head.append([len(one[0]), 200, one[1]])
            bodies.append(one[0])
    _send(to, head, bodies)


def read_done(source: Wire) -> list[Done]:
    """
    Wait for answers.

    Raises:
        Ended: None will come.
    """
    return [
        (_exactly(source, size), more) if status == 200 else Refused(more, status=status)
        for size, status, more in _head(source)
    ]


def send_word(to: Wire, word: dict[str, Any]) -> None:
    """Send one document."""
    _send(to, word, [])


def read_word(source: Wire) -> dict[str, Any]:
    """
    Wait for one document.

    Raises:
        Ended: None will come.
    """
    return dict(_head(source))


def _send(to: Wire, head: object, bodies: Sequence[bytes]) -> None:
    try:
        to.write(json.dumps(head).encode() + b"\n")
        to.writelines(bodies)
        to.flush()
    except (BrokenPipeError, ConnectionResetError) as error:
        raise Ended from error


def _head(source: Wire) -> Any:
    try:
        line = source.readline()
    except (ConnectionResetError, ValueError) as error:
        raise Ended from error
    if not line.endswith(b"\n"):
        raise Ended
    return json.loads(line)


def _exactly(source: Wire, size: int) -> bytes:
    found = source.read(size)
    if len(found) != size:
        raise Ended
    return found
