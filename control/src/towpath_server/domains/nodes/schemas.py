"""Nodes on the wire."""

from dataclasses import asdict
from datetime import datetime

from pydantic import Field

from towpath_server.adapters.compute import Gpu
from towpath_server.domains.nodes.models import Node
from towpath_server.web.schemas import Out, Resource, at


class GpuOut(Out):
    """One GPU, or one part of a divided one."""

    uuid: str
    name: str
    memory_bytes: int
    gpu_class: str = Field(description="Such as `h100-80gb`.")
    mig: str | None = Field(None, description="Profile of a part (MIG), such as `1g.10gb`.")

    @classmethod
    def of(cls, gpu: Gpu) -> "GpuOut":
        """Write a GPU."""
        return cls(**asdict(gpu))


class IsolationOut(Out):
    """How model servers are kept apart from the machine and from each other."""

    mode: str = Field(description="`strict`, `best_effort` or `off`.")
    measures: dict[str, str] = Field(
        description="Measures that hold, each with its way: `user`, `processes`, `network`, "
        "`filesystem`, `cgroup`, `seccomp`."
    )
    missing: dict[str, str] = Field(description="Measures that do not, each with the reason.")


class NodeOut(Resource):
    """A machine that runs model servers."""

    name: str
    cores: int
    threads: int
    memory_bytes: int
    disk_bytes: int = Field(description="Size of the disk that the data folder is on.")
    gpus: list[GpuOut]
    isolation: IsolationOut
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
            disk_bytes=node.disk_bytes,
            gpus=[GpuOut.of(gpu) for gpu in node.gpus],
            isolation=IsolationOut(**asdict(node.isolation)),
            seen_at=at(node.seen_at_ms),
            alive=node.alive(now_ms),
        )
