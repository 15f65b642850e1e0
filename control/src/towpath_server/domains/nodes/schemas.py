"""Nodes on the wire."""

from dataclasses import asdict
from datetime import datetime

from pydantic import Field

from towpath_server.adapters.compute import Gpu
from towpath_server.domains.nodes.models import Node
from towpath_server.web.schemas import Out, Resource, at


class HolderOut(Out):
    """Who has a GPU: a replica, and the deployment that it is of."""

    replica: str
    deployment: str | None
    name: str | None
    environment: str | None


class GpuOut(Out):
    """One GPU, or one part of a divided one."""

    uuid: str
    name: str
    memory_bytes: int
    gpu_class: str = Field(description="Such as `h100-80gb`.")
    mig: str | None = Field(None, description="Profile of a part (MIG), such as `1g.10gb`.")

    used_bytes: int | None = Field(
        None, description="Memory that anybody has of it, other programs included."
    )
    utilisation_percent: int | None = Field(
        None, description="Part of the last moments in which it computed; parts do not say it."
    )
    held_by: HolderOut | None = Field(None, description="Whose own it is; none: it is free.")

    @classmethod
    def of(cls, gpu: Gpu, node: Node) -> "GpuOut":
        """Write a GPU."""
        use = node.use.gpus.get(gpu.uuid)
        if use is None:
            return cls(**asdict(gpu))
        holder = None
        if use.replica is not None:
            of = node.holders.get(use.replica)
            found = asdict(of) if of else dict.fromkeys(("deployment", "name", "environment"))
            holder = HolderOut(replica=use.replica, **found)
        return cls(
            **asdict(gpu),
            used_bytes=use.memory_bytes,
            utilisation_percent=use.utilisation_percent,
            held_by=holder,
        )


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
    disk_free_bytes: int
    artifact_bytes: int = Field(description="Files of models that it keeps.")
    artifact_max_bytes: int | None = Field(
        description="More of them make room (`artifacts.cache_bytes`); none: they are the "
        "registry's own, and stay."
    )
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
            disk_free_bytes=node.use.disk_free_bytes,
            artifact_bytes=node.use.artifact_bytes,
            artifact_max_bytes=node.use.artifact_max_bytes,
            gpus=[GpuOut.of(gpu, node) for gpu in node.gpus],
            isolation=IsolationOut(**asdict(node.isolation)),
            seen_at=at(node.seen_at_ms),
            alive=node.alive(now_ms),
        )
