"""Every query on the ledger. Reading takes the caller's reach, so nobody sees another team's."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, false, func, or_, select, true, tuple_

from towpath_server.core.access import Reach
from towpath_server.core.db import Tx
from towpath_server.core.paging import Window
from towpath_server.domains.usage.models import (
    Dimension,
    Ended,
    Entry,
    Line,
    Measures,
    Request,
    Search,
    Whose,
)
from towpath_server.domains.usage.tables import hourly, records

_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS
_NAME_UNKNOWN = {401, 404}
_RECORD_COLUMNS = [column.name for column in records.c]
_MEASURES = (
    "requests",
    "errors",
    "refused",
    "uncounted",
    "input_tokens",
    "output_tokens",
    "cached_input_tokens",
    "cost_nano",
    "cache_write_tokens",
    "reasoning_tokens",
    "audio_input_tokens",
    "audio_output_tokens",
    "gpu_us",
    "cache_hits",
    "saved_nano",
)
_DIMENSIONS = [column.name for column in hourly.primary_key]
_COLUMN_OF: Mapping[Dimension, ColumnElement[Any]] = {
    Dimension.TEAM: hourly.c.team,
    Dimension.PROJECT: hourly.c.project,
    Dimension.APPLICATION: hourly.c.application,
    Dimension.KEY: hourly.c.key_id,
    Dimension.ENVIRONMENT: hourly.c.environment,
    Dimension.ENDPOINT: hourly.c.endpoint,
    Dimension.OPERATION: hourly.c.operation,
    Dimension.MODEL: hourly.c.model,
    Dimension.PROVIDER: hourly.c.provider,
    Dimension.DAY: hourly.c.hour_ms - hourly.c.hour_ms % _DAY_MS,
    Dimension.HOUR: hourly.c.hour_ms,
}


async def insert(ledger: Tx, entries: Sequence[Entry]) -> set[tuple[str, int]]:
    """Store what is new; return the (gateway, sequence) of the rows that really were inserted."""
    statement = ledger.insert(records).on_conflict_do_nothing()
    returned = await ledger.execute(
        statement.returning(records.c.gateway_id, records.c.sequence),
        [{name: getattr(entry, name) for name in _RECORD_COLUMNS} for entry in entries],
    )
    return {(row.gateway_id, row.sequence) for row in returned}


async def ids(ledger: Tx, numbers: Iterable[tuple[str, int]]) -> dict[tuple[str, int], str]:
    """Return the request ids that are stored under these numbers."""
    found = await ledger.execute(
        select(records.c.gateway_id, records.c.sequence, records.c.id).where(
            tuple_(records.c.gateway_id, records.c.sequence).in_(list(numbers))
        )
    )
    return {(row.gateway_id, row.sequence): row.id for row in found}


async def add_up(ledger: Tx, entries: Iterable[Entry], failed: frozenset[Ended]) -> None:
    """Add entries that were inserted in this transaction to the sums of their hours."""
    sums: dict[tuple[Any, ...], list[int]] = {}
    for entry in entries:
        total = sums.setdefault(_dimensions(entry), [0] * len(_MEASURES))
        for place, value in enumerate(_measures(entry, failed)):
            total[place] += value
    if not sums:
        return
    statement = ledger.insert(hourly)
    statement = statement.on_conflict_do_update(
        index_elements=_DIMENSIONS,
        set_={name: hourly.c[name] + statement.excluded[name] for name in _MEASURES},
    )
    # In one order everywhere, so that two control planes never wait for each other in a circle.
    await ledger.execute(
        statement,
        [
            dict(zip((*_DIMENSIONS, *_MEASURES), (*key, *sums[key]), strict=True))
            for key in sorted(sums)
        ],
    )


def _dimensions(entry: Entry) -> tuple[Any, ...]:
    return (
        entry.time_ms - entry.time_ms % _HOUR_MS,
        entry.team or "",
        entry.project or "",
        entry.application or "",
        entry.key_id or "",
        entry.environment or "",
        # A name that is nobody's was made up by the caller: a million of them are one group.
        "" if entry.status in _NAME_UNKNOWN else entry.endpoint or "",
        entry.endpoint_id or "",
        entry.operation,
        entry.model or "",
        entry.provider or "",
        entry.currency or "",
    )


def _measures(entry: Entry, failed: frozenset[Ended]) -> tuple[int, ...]:
    answered = entry.ended is Ended.COMPLETE and entry.operation != "models"
    return (
        entry.count,
        entry.count if entry.ended in failed else 0,
        entry.count if entry.ended is Ended.REFUSED else 0,
        entry.count if answered and entry.input_tokens is None else 0,
        entry.input_tokens or 0,
        entry.output_tokens or 0,
        entry.cached_input_tokens or 0,
        entry.cost_nano or 0,
        entry.cache_write_tokens or 0,
        entry.reasoning_tokens or 0,
        entry.audio_input_tokens or 0,
        entry.audio_output_tokens or 0,
        entry.gpu_us or 0,
        entry.count if entry.cache_hit else 0,
        entry.saved_nano or 0,
    )


async def sums(ledger: Tx, whose: Whose, *, since_ms: int) -> list[tuple[int, int, int]]:
    """Sum tokens and cost by the hour."""
    tokens = func.sum(hourly.c.input_tokens + hourly.c.output_tokens).label("tokens")
    cost = func.sum(hourly.c.cost_nano).label("cost")
    query = select(hourly.c.hour_ms, tokens, cost).where(hourly.c.hour_ms >= since_ms)
    for column, value in (
        (hourly.c.project, whose.project),
        (hourly.c.team, whose.team),
        (hourly.c.endpoint_id, whose.endpoint),
    ):
        if value is not None:
            query = query.where(column == value)
    if whose.keys is not None:
        query = query.where(hourly.c.key_id.in_(whose.keys))
    found = await ledger.execute(query.group_by(hourly.c.hour_ms))
    return [(row.hour_ms, int(row.tokens), int(row.cost)) for row in found]


async def find(ledger: Tx, request_id: str) -> Request | None:
    """Return a request by its id; the caller of this function checks whose it is."""
    row = (await ledger.execute(_requests().where(records.c.id == request_id).limit(1))).first()
    return _request(row) if row else None


async def search(ledger: Tx, reach: Reach, wanted: Search, window: Window) -> list[Request]:
    """List requests within reach, newest first, one more than the window asks for."""
    query = _requests().where(_within(reach, records.c.team, records.c.project))
    for column, value in (
        (records.c.project, wanted.project),
        (records.c.endpoint, wanted.endpoint),
        (records.c.key_id, wanted.key),
        (records.c.environment, wanted.environment),
        (records.c.status, wanted.status),
    ):
        if value is not None:
            query = query.where(column == value)
    if wanted.errors:
        query = query.where(records.c.ended.not_in([Ended.COMPLETE, Ended.CLIENT_GONE]))
    if wanted.since_ms is not None:
        query = query.where(records.c.time_ms >= wanted.since_ms)
    if wanted.until_ms is not None:
        query = query.where(records.c.time_ms < wanted.until_ms)
    if window.after is not None:
        query = query.where(records.c.id < window.after)
    rows = await ledger.execute(query.order_by(records.c.id.desc()).limit(window.limit + 1))
    return [_request(row) for row in rows]


async def report(
    ledger: Tx,
    reach: Reach,
    group_by: Sequence[Dimension],
    *,
    project: str | None,
    since_ms: int,
    until_ms: int,
    limit: int,
) -> list[Line]:
    """Sum whole hours from `since_ms` to before `until_ms`, the costliest groups first."""
    groups = [_COLUMN_OF[dimension].label(f"by_{dimension}") for dimension in group_by]
    sums = [func.sum(hourly.c[name]).label(name) for name in _MEASURES]
    query = (
        select(*groups, hourly.c.currency, *sums)
        .where(_within(reach, hourly.c.team, hourly.c.project))
        .where(hourly.c.hour_ms >= since_ms, hourly.c.hour_ms < until_ms)
        .group_by(*groups, hourly.c.currency)
    )
    if project is not None:
        query = query.where(hourly.c.project == project)
    in_time = [column for column in groups if column.name in {"by_day", "by_hour"}]
    order = [func.sum(hourly.c.cost_nano).desc(), func.sum(hourly.c.requests).desc(), *groups]
    rows = await ledger.execute(query.order_by(*in_time, *order).limit(limit))
    return [
        Line(
            group={dimension: getattr(row, f"by_{dimension}") or None for dimension in group_by},
            currency=row.currency or None,
            measures=Measures(**{name: int(getattr(row, name)) for name in _MEASURES}),
        )
        for row in rows
    ]


def _requests() -> Select[*tuple[Any, ...]]:
    return select(
        records.c.id,
        records.c.team,
        records.c.project,
        records.c.application,
        records.c.key_id,
        records.c.document,
    )


def _within(
    reach: Reach, team: ColumnElement[Any], project: ColumnElement[Any]
) -> ColumnElement[bool]:
    if reach.everything:
        return true()
    allowed = []
    if reach.teams:
        allowed.append(team.in_(reach.teams))
    if reach.projects:
        allowed.append(project.in_(reach.projects))
    return or_(*allowed) if allowed else false()


def _request(row: Any) -> Request:
    return Request(
        id=row.id,
        team=row.team,
        project=row.project,
        application=row.application,
        key_id=row.key_id,
        document=json.loads(row.document),
    )
