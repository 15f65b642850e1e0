"""
Reading what the model servers of a deployment wrote, over all replicas, and following it.

A follower opens its own short transactions: replicas come and go while it reads, and whoever may no
longer see the deployment is shown no more of it.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from towpath_server.adapters.compute import MAX_LOG_LINES, Compute, LogLine
from towpath_server.core.access import Principal
from towpath_server.core.db import Database, Tx
from towpath_server.core.errors import NotFound
from towpath_server.domains.deployments.models import Replica
from towpath_server.domains.deployments.service import read

POLL_S = 0.25  # between two looks at files that somebody follows
_REPLICAS_S = 2.0  # how soon a new replica is followed
_BEAT_S = 10.0  # a silent log says that often that it is still followed
_LIMIT_S = 3_600.0  # then the caller follows anew, with a key that is looked at again


@dataclass(frozen=True)
class Excerpt:
    """Which lines of which replicas are asked for."""

    environment: str | None = None
    replica: str | None = None
    """Id or ordinal."""
    tail: int = 100
    since_ms: int | None = None
    search: str | None = None

    def matches(self, line: LogLine) -> bool:
        """Tell whether a line has the text that is searched for."""
        return self.search is None or self.search in line.text


@dataclass(frozen=True)
class Written:
    """A line, and who wrote it."""

    replica: Replica
    line: LogLine


async def last(
    tx: Tx, caller: Principal, compute: Compute, ref: str, excerpt: Excerpt
) -> Sequence[tuple[Replica, Sequence[LogLine]]]:
    """
    Return the last lines of each replica that are asked for.

    Raises:
        NotFound: There is no such deployment or replica that the caller may see.
        InvalidRequest: The name exists in several environments, and none was said.
    """
    chosen = await _replicas(tx, caller, ref, excerpt)
    return [(one, (await _lines(compute, one.id, excerpt))[0]) for one in chosen]


async def follow(
    db: Database, caller: Principal, compute: Compute, ref: str, excerpt: Excerpt
) -> AsyncIterator[Written | None]:
    """
    Give the last lines, and those that come, in the order in which they are found; bounded in time.

    None now and then says that there was nothing. It ends when the deployment is gone.
    """
    loop = asyncio.get_running_loop()
    ends = loop.time() + _LIMIT_S
    cursors: dict[str, int] = {}
    chosen: Sequence[Replica] = ()
    look_at = beat_at = 0.0
    first = True
    while loop.time() < ends:
        if loop.time() >= look_at:
            try:
                async with db.read() as tx:
                    chosen = await _replicas(tx, caller, ref, excerpt)
            except NotFound:
                return
            first, look_at = not look_at, loop.time() + _REPLICAS_S
        for one in chosen:
            if one.id not in cursors:
                # A replica that came later is told from its beginning.
                wanted = excerpt if first else Excerpt(since_ms=0, search=excerpt.search)
                lines, cursors[one.id] = await _lines(compute, one.id, wanted)
            else:
                part = await compute.logs(one.id, cursor=cursors[one.id])
                cursors[one.id] = part.cursor
                lines = [line for line in part.lines if excerpt.matches(line)]
            for line in lines:
                beat_at = loop.time() + _BEAT_S
                yield Written(one, line)
        if loop.time() >= beat_at:
            beat_at = loop.time() + _BEAT_S
            yield None
        await asyncio.sleep(POLL_S)


async def _replicas(tx: Tx, caller: Principal, ref: str, excerpt: Excerpt) -> Sequence[Replica]:
    view = await read.get(tx, caller, ref, environment=excerpt.environment)
    wanted = excerpt.replica
    chosen = [r for r in view.replicas if wanted in {None, r.id, str(r.ordinal)}]
    if not chosen and wanted is not None:
        raise NotFound("replica", wanted)
    return chosen


async def _lines(compute: Compute, replica: str, excerpt: Excerpt) -> tuple[Sequence[LogLine], int]:
    """Return the last lines that are asked for, and the position after them."""
    if excerpt.since_ms is None and excerpt.search is None:
        part = await compute.logs(replica, tail=excerpt.tail)
        return part.lines, part.cursor
    most = MAX_LOG_LINES if excerpt.since_ms is not None else excerpt.tail
    kept: deque[LogLine] = deque(maxlen=most)
    part = await compute.logs(replica, since_ms=excerpt.since_ms or 0)
    while part.lines:
        kept.extend(line for line in part.lines if excerpt.matches(line))
        former, part = part.cursor, await compute.logs(replica, cursor=part.cursor)
        if part.cursor == former:
            break
    return list(kept), part.cursor
