"""Taking records in, searching them, and adding them up."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from towpath_server.core.access import Principal, Verb
from towpath_server.core.db import Tx
from towpath_server.core.errors import NotFound
from towpath_server.core.paging import Slice, Window
from towpath_server.domains.keys import service as keys
from towpath_server.domains.projects import service as projects
from towpath_server.domains.teams import service as teams
from towpath_server.domains.usage import store
from towpath_server.domains.usage.errors import SequenceReused
from towpath_server.domains.usage.models import (
    FAILED,
    Dimension,
    Entry,
    Line,
    Request,
    Search,
    Whose,
)

HOUR_MS = 3_600_000
DEFAULT_PERIOD_MS = 30 * 24 * HOUR_MS
# A report is read by people and drawn by programs; neither has a use for more lines.
MAX_LINES = 10_000


@dataclass(frozen=True)
class Period:
    """From `since_ms` to before `until_ms`, in whole hours."""

    since_ms: int
    until_ms: int

    @classmethod
    def covering(cls, since_ms: int | None, until_ms: int | None, *, now_ms: int) -> "Period":
        """Return the whole hours that touch the time between; by default the last 30 days."""
        until = now_ms if until_ms is None else until_ms
        since = until - DEFAULT_PERIOD_MS if since_ms is None else since_ms
        return cls(since - since % HOUR_MS, -(-until // HOUR_MS) * HOUR_MS)


async def ingest(ledger: Tx, entries: Sequence[Entry]) -> list[Entry]:
    """
    Store records; those that are stored already change nothing. Return those that were new.

    Everything happens in the one transaction given, so a record is in the log and in the sums or in
    neither.

    Raises:
        SequenceReused: A number that is stored for another request: storing would lose this one.
    """
    if not entries:
        return []
    sent = {(entry.gateway_id, entry.sequence): entry for entry in entries}
    inserted = await store.insert(ledger, list(sent.values()))
    stored = await store.ids(ledger, sent.keys() - inserted) if len(inserted) < len(sent) else {}
    for entry in entries:
        number = (entry.gateway_id, entry.sequence)
        if stored.get(number, sent[number].id) != entry.id:
            raise SequenceReused(*number)
    new = [sent[number] for number in inserted]
    await store.add_up(ledger, new, FAILED)
    return new


async def sums(ledger: Tx, whose: Whose, *, since_ms: int) -> Sequence[tuple[int, int, int]]:
    """
    Sum by the hour, whoever asks: start of the hour, tokens, cost in nano-units.

    Args:
        since_ms: The start of an hour.
    """
    return await store.sums(ledger, whose, since_ms=since_ms)


async def search(
    tx: Tx, ledger: Tx, caller: Principal, wanted: Search, window: Window
) -> Slice[Request]:
    """List requests the caller may see, newest first, with the names of what they mention."""
    reach = caller.reach("request")
    if wanted.project is not None:
        wanted = replace(wanted, project=await _project(tx, caller, wanted.project, "request"))
    found = Slice.cut(await store.search(ledger, reach, wanted, window), window)
    return Slice(await _named(tx, found.items), found.next)


async def get(tx: Tx, ledger: Tx, caller: Principal, request_id: str) -> Request:
    """
    Return one request.

    Raises:
        NotFound: There is none, it is not recorded yet, or it is another team's: one text for all.
        Forbidden: The caller may read no requests at all.
    """
    reach = caller.reach("request")
    request = await store.find(ledger, request_id)
    if request is None or not reach.covers(request.team, request.project):
        raise NotFound(
            "request",
            request_id,
            fix="Check the id, the `x-request-id` of the answer; a request is recorded within a "
            "second of its end.",
        )
    return (await _named(tx, [request]))[0]


async def report(
    tx: Tx,
    ledger: Tx,
    caller: Principal,
    *,
    group_by: Sequence[Dimension],
    period: Period,
    project: str | None = None,
) -> list[Line]:
    """Sum what the caller may see, in groups; by time first, then the costliest."""
    reach = caller.reach("usage")
    if project is not None:
        project = await _project(tx, caller, project, "usage")
    lines = await store.report(
        ledger,
        reach,
        group_by,
        project=project,
        since_ms=period.since_ms,
        until_ms=period.until_ms,
        limit=MAX_LINES,
    )
    ids: dict[Dimension, set[str]] = {}
    for line in lines:
        for dimension, value in line.group.items():
            if isinstance(value, str):
                ids.setdefault(dimension, set()).add(value)
    names = await _names(
        tx,
        teams_of=ids.get(Dimension.TEAM, ()),
        projects_of=ids.get(Dimension.PROJECT, ()),
        applications_of=ids.get(Dimension.APPLICATION, ()),
        keys_of=ids.get(Dimension.KEY, ()),
    )
    return [replace(line, names=names) for line in lines]


async def _project(tx: Tx, caller: Principal, ref: str, noun: str) -> str:
    return (await projects.resolve(tx, caller, ref, verb=Verb.READ, noun=noun)).id


async def _named(tx: Tx, requests: Sequence[Request]) -> list[Request]:
    names = await _names(
        tx,
        teams_of={request.team for request in requests if request.team},
        projects_of={request.project for request in requests if request.project},
        applications_of={request.application for request in requests if request.application},
        keys_of={request.key_id for request in requests if request.key_id},
    )
    return [replace(request, names=names) for request in requests]


async def _names(
    tx: Tx,
    *,
    teams_of: Iterable[str],
    projects_of: Iterable[str],
    applications_of: Iterable[str],
    keys_of: Iterable[str],
) -> Mapping[str, str]:
    """Return the names of all these ids, which are unique over the nouns."""
    return {
        **await teams.names(tx, list(teams_of)),
        **await projects.names(tx, list(projects_of)),
        **await projects.application_names(tx, list(applications_of)),
        **await keys.names(tx, list(keys_of)),
    }
