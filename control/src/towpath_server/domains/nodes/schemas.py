"""Nodes on the wire."""

from datetime import datetime

from towpath_server.domains.nodes.models import Node
from towpath_server.web.schemas import Resource, at


class NodeOut(Resource):
    """A machine that runs model servers."""

    name: str
    cores: int
    threads: int
    memory_bytes: int
    seen_at: datetime
    alive: bool

    @classmethod
    def of(cls, node: Node, now_ms: int) -> "NodeOut":
        """Write a node as it is at a time."""
        return cls(
            id=node.id,
            revision=node.revision,
            created_at=at(node.created_at_ms),
            updated_at=at(node.updated_at_ms),
            name=node.name,
            cores=node.cores,
            threads=node.threads,
            memory_bytes=node.memory_bytes,
            seen_at=at(node.seen_at_ms),
            alive=node.alive(now_ms),
        )
