"""Routes of the audit log."""

from typing import Annotated

from fastapi import Depends, Query
from pydantic import AwareDatetime

from towpath_server.core.clock import to_ms
from towpath_server.core.errors import Forbidden
from towpath_server.domains.audit import service as audit
from towpath_server.domains.audit.models import Filter
from towpath_server.domains.audit.schemas import EventOut
from towpath_server.web import edge
from towpath_server.web.deps import Caller, Paging, ReadTx
from towpath_server.web.paging import Page
from towpath_server.web.problems import problems
from towpath_server.web.schemas import Ref

router = edge.router("audit", "/audit")


def _wanted(
    noun: Annotated[Ref | None, Query(description="Kind of thing, such as `key`.")] = None,
    id: Annotated[Ref | None, Query(description="Id of the thing.")] = None,  # noqa: A002
    principal: Annotated[Ref | None, Query(description="Id of who acted.")] = None,
    since: Annotated[AwareDatetime | None, Query(description="Earliest time.")] = None,
) -> Filter:
    return Filter(noun, id, principal, since_ms=to_ms(since) if since else None)


Wanted = Annotated[Filter, Depends(_wanted)]


@router.get("", responses=problems(Forbidden))
async def list(  # noqa: A001 (the verb)
    tx: ReadTx, caller: Caller, window: Paging, wanted: Wanted
) -> Page[EventOut]:
    """List what was changed or refused, newest first."""
    return Page.of(await audit.list(tx, caller, wanted, window), EventOut.of)
