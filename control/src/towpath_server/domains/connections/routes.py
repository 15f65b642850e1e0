"""Routes of connections."""

from towpath_server.core.errors import (
    Forbidden,
    InvalidRequest,
    NameTaken,
    NotFound,
    RevisionConflict,
)
from towpath_server.domains.connections import service as connections
from towpath_server.domains.connections.schemas import (
    ConnectionCreate,
    ConnectionOut,
    ConnectionUpdate,
)
from towpath_server.web import edge
from towpath_server.web.deps import Caller, IfMatch, Paging, ReadTx, WriteTx
from towpath_server.web.paging import Page
from towpath_server.web.problems import problems
from towpath_server.web.schemas import Ref

router = edge.router("connection", "/connections")


@router.post("", status_code=201, responses=problems(NotFound, Forbidden, NameTaken))
async def create(body: ConnectionCreate, caller: Caller, tx: WriteTx) -> ConnectionOut:
    """Declare how models below a location are reached; its credential is never given out again."""
    made = await connections.create(tx, caller, body.draft(), credential=body.credential)
    return ConnectionOut.of(made)


@router.get("", responses=problems(Forbidden))
async def list(caller: Caller, tx: ReadTx, window: Paging) -> Page[ConnectionOut]:  # noqa: A001
    """List the organisation's connections and those of your teams."""
    return Page.of(await connections.list(tx, caller, window), ConnectionOut.of)


@router.get("/{connection}", responses=problems(NotFound))
async def get(connection: Ref, caller: Caller, tx: ReadTx) -> ConnectionOut:
    """Return a connection, by id or name."""
    return ConnectionOut.of(await connections.get(tx, caller, connection))


@router.patch(
    "/{connection}", responses=problems(NotFound, Forbidden, InvalidRequest, RevisionConflict)
)
async def update(
    connection: Ref, body: ConnectionUpdate, caller: Caller, tx: WriteTx, if_match: IfMatch
) -> ConnectionOut:
    """Change a connection, or rotate its credential."""
    changed = await connections.update(tx, caller, connection, body.changes(), if_match=if_match)
    return ConnectionOut.of(changed)


@router.delete(
    "/{connection}", status_code=204, responses=problems(NotFound, Forbidden, RevisionConflict)
)
async def delete(connection: Ref, caller: Caller, tx: WriteTx, if_match: IfMatch) -> None:
    """Delete a connection; what was fetched by it stays."""
    await connections.delete(tx, caller, connection, if_match=if_match)
