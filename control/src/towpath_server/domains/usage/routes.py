"""`/api/v1/requests`, the log, and `/api/v1/usage`, the reports."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from fastapi import Depends, Query

from towpath_server.core import suggest
from towpath_server.core.clock import to_ms
from towpath_server.core.db import Tx
from towpath_server.core.errors import Finding, Forbidden, InvalidRequest, NotFound
from towpath_server.domains.usage import service as usage
from towpath_server.domains.usage.models import Dimension, Search
from towpath_server.domains.usage.schemas import RequestOut, UsageReportOut
from towpath_server.web import edge
from towpath_server.web.deps import Caller, Paging, Platform, ReadTx
from towpath_server.web.paging import Page
from towpath_server.web.problems import problems
from towpath_server.web.schemas import Ref

request_router = edge.router("request", "/requests")
router = edge.router("usage", "/usage")


async def _ledger(platform: Platform) -> AsyncIterator[Tx]:
    async with platform.db.ledger_read() as ledger:
        yield ledger


@dataclass(frozen=True)
class Times:
    """The time a caller asks about; open where none was said."""

    since_ms: int | None
    until_ms: int | None


def _times(
    since: Annotated[datetime | None, Query(description="From this time on.")] = None,
    until: Annotated[datetime | None, Query(description="Before this time.")] = None,
) -> Times:
    return Times(_ms(since), _ms(until))


Between = Annotated[Times, Depends(_times)]


def _search(
    *,
    times: Between,
    project: Annotated[Ref | None, Query(description="`team/project` or its id.")] = None,
    endpoint: Annotated[Ref | None, Query(description="Name of the endpoint.")] = None,
    key: Annotated[Ref | None, Query(description="Id of the key.")] = None,
    environment: Annotated[Ref | None, Query(description="`sandbox`, `staging`, …")] = None,
    status: Annotated[int | None, Query(ge=100, le=599, description="HTTP status.")] = None,
    errors: Annotated[bool, Query(description="Only what did not end well.")] = False,
) -> Search:
    return Search(
        project=project,
        endpoint=endpoint,
        key=key,
        environment=environment,
        status=status,
        errors=errors,
        since_ms=times.since_ms,
        until_ms=times.until_ms,
    )


Ledger = Annotated[Tx, Depends(_ledger)]
Wanted = Annotated[Search, Depends(_search)]


@request_router.get("", responses=problems(NotFound, Forbidden, InvalidRequest))
async def search(
    wanted: Wanted, window: Paging, caller: Caller, tx: ReadTx, ledger: Ledger
) -> Page[RequestOut]:
    """List requests, newest first."""
    return Page[RequestOut].of(
        await usage.search(tx, ledger, caller, wanted, window), RequestOut.of
    )


@request_router.get("/{request_id}", responses=problems(NotFound))
async def get(request_id: Ref, caller: Caller, tx: ReadTx, ledger: Ledger) -> RequestOut:
    """Return one request."""
    return RequestOut.of(await usage.get(tx, ledger, caller, request_id))


@router.get("", responses=problems(NotFound, Forbidden, InvalidRequest))
async def report(
    caller: Caller,
    tx: ReadTx,
    ledger: Ledger,
    *,
    times: Between,
    group_by: Annotated[
        str, Query(max_length=200, description="One or several of the dimensions, with commas.")
    ] = "endpoint",
    project: Annotated[Ref | None, Query(description="`team/project` or its id.")] = None,
) -> UsageReportOut:
    """Add up requests, tokens and cost; the last 30 days unless said otherwise."""
    dimensions = _dimensions(group_by)
    period = usage.Period.covering(times.since_ms, times.until_ms, now_ms=tx.now_ms)
    lines = await usage.report(
        tx, ledger, caller, group_by=dimensions, period=period, project=project
    )
    return UsageReportOut.of(period, dimensions, lines)


def _ms(at: datetime | None) -> int | None:
    """Read a time; one without a zone is UTC, as all our answers are."""
    if at is None:
        return None
    return to_ms(at if at.tzinfo else at.replace(tzinfo=UTC))


def _dimensions(text: str) -> list[Dimension]:
    known = [dimension.value for dimension in Dimension]
    wanted = list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))
    findings = [
        Finding("?group_by", f"`{name}` is not a dimension.", suggest.did_you_mean(name, known))
        for name in wanted
        if name not in known
    ]
    if findings or not wanted:
        raise InvalidRequest(
            findings[0].message if findings else "`group_by` names nothing.",
            fix="Use one or several of: " + ", ".join(f"`{name}`" for name in known) + ".",
            findings=findings or [Finding("?group_by", "It names nothing.")],
        )
    return [Dimension(name) for name in wanted]
