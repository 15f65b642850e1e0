"""Routes of nodes."""

from towpath_server.core.errors import Forbidden, NotFound
from towpath_server.domains.nodes import service as nodes
from towpath_server.domains.nodes.schemas import NodeOut
from towpath_server.web import edge
from towpath_server.web.deps import Caller, Paging, ReadTx
from towpath_server.web.paging import Page
from towpath_server.web.problems import problems
from towpath_server.web.schemas import Ref

router = edge.router("node", "/nodes")


@router.get("", responses=problems(Forbidden))
async def list(caller: Caller, tx: ReadTx, window: Paging) -> Page[NodeOut]:  # noqa: A001
    """List the machines that model servers run on."""
    found = await nodes.list(tx, caller, window)
    return Page.of(found, lambda node: NodeOut.of(node, tx.now_ms))


@router.get("/{node}", responses=problems(NotFound))
async def get(node: Ref, caller: Caller, tx: ReadTx) -> NodeOut:
    """Return a node, by id or name."""
    return NodeOut.of(await nodes.get(tx, caller, node), tx.now_ms)
