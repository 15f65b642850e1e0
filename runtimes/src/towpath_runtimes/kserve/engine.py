"""From bodies to bodies: reading, checking, computing together what may be, writing."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from towpath_runtimes.kserve import protocol
from towpath_runtimes.kserve.errors import Refused
from towpath_runtimes.kserve.model import Feed, Model
from towpath_runtimes.kserve.protocol import Answer, InferRequest

T = TypeVar("T")


@dataclass(frozen=True)
class Job:
    """The body of an inference request, and the length of its JSON part where bytes follow it."""

    body: bytes
    header_length: str | None


Done = tuple[bytes, int | None] | Refused
"""The body of an answer, and the length of its JSON part where bytes follow it; or a refusal."""


class Engine(Protocol):
    """Answers jobs."""

    def run(self, jobs: Sequence[Job]) -> Sequence[Done]:
        """Answer jobs, each for itself, in their order; never raises for what a caller sent."""
        ...

    def close(self) -> None:
        """Let go of what it holds."""
        ...


@dataclass(frozen=True)
class _Read:
    request: InferRequest
    feed: Feed


class ModelEngine:
    """A model within this process. Several threads may call it at once."""

    def __init__(self, model: Model, *, name: str, version: str, rows: int) -> None:
        """
        Put a model behind the protocol.

        Args:
            rows: Most rows that several requests are joined to; 1: each is computed alone.
        """
        self._model = model
        self._name = name
        self._version = version
        self._rows = rows

    def run(self, jobs: Sequence[Job]) -> Sequence[Done]:
        """Answer jobs; what is refused of one, or fails in it, is of no effect on the others."""
        done: dict[int, Done] = {}
        read: list[tuple[int, _Read]] = []
        for at, job in enumerate(jobs):
            one = attempt(lambda job=job: self._read(job))
            if isinstance(one, Refused):
                done[at] = one
            else:
                read.append((at, one))
        for group in together([one.feed for _, one in read], self._rows):
            members = [read[place] for place in group]
            computed = answers(self._model, [one.feed for _, one in members])
            for (at, one), answer in zip(members, computed, strict=True):
                done[at] = self._written(one.request, answer)
        return [done[at] for at in range(len(jobs))]

    def close(self) -> None:
        """Hold nothing."""

    def _read(self, job: Job) -> _Read:
        request = protocol.read(job.body, job.header_length)
        return _Read(request, self._model.prepare(request))

    def _written(self, request: InferRequest, answer: Answer | Refused) -> Done:
        if isinstance(answer, Refused):
            return answer
        return attempt(
            lambda: protocol.write(answer, request, model=self._name, version=self._version)
        )


def answers(model: Model, feeds: Sequence[Feed]) -> Sequence[Answer | Refused]:
    """Compute feeds of one kind together; one that fails costs no other its answer."""
    computed = attempt(lambda: model.run(feeds))
    if not isinstance(computed, Refused):
        return computed
    if len(feeds) == 1:
        return [computed]
    return [answer for feed in feeds for answer in answers(model, [feed])]


def together(feeds: Sequence[Feed], most: int) -> list[list[int]]:
    """Put the places of feeds that are computed together into groups of at most so many rows."""
    groups: list[list[int]] = []
    open_: dict[object, tuple[list[int], int]] = {}
    for place, feed in enumerate(feeds):
        group, rows = open_.get(feed.kind, ([], 0)) if feed.kind is not None else ([], 0)
        if not group or rows + feed.rows > most:
            group, rows = [], 0
            groups.append(group)
        group.append(place)
        if feed.kind is not None:
            open_[feed.kind] = (group, rows + feed.rows)
    return groups


def attempt(call: Callable[[], T]) -> T | Refused:
    """Call; a mistake of the server's is logged, and refused without its text."""
    try:
        return call()
    except Refused as refused:
        return refused
    except Exception as error:  # noqa: BLE001 - one request's failure must not be the others'
        sys.stderr.write(f"infer.failed error={error!r}\n")
        return Refused("the server made a mistake; its log has more", status=500)
