"""What a node is."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

from towpath_server.adapters.compute import Capacity, Gpu, Isolation, Use

SILENT_MS = 45_000
"""A node that was not heard of for this long, three heartbeats, counts as gone."""


@dataclass(frozen=True)
class Holder:
    """The deployment that a replica is of."""

    deployment: str
    """Its id."""
    name: str
    environment: str


@dataclass(frozen=True)
class Node:
    """A machine that runs model servers."""

    id: str
    revision: int
    created_at_ms: int
    updated_at_ms: int
    name: str
    cores: int
    threads: int
    """Threads that its model servers share."""
    memory_bytes: int
    seen_at_ms: int
    disk_bytes: int = 0
    """Size of the disk that the data folder is on."""
    gpus: tuple[Gpu, ...] = ()
    isolation: Isolation = field(default_factory=lambda: Isolation("off"))
    """How its model servers are shut in."""
    use: Use = field(default_factory=Use)
    """As it was when the node was heard of last."""
    holders: Mapping[str, Holder] = field(default_factory=dict)
    """Whose the replicas are that have GPUs, by their ids."""

    def alive(self, now_ms: int) -> bool:
        """Tell whether it was heard of lately."""
        return now_ms - self.seen_at_ms < SILENT_MS

    @property
    def capacity(self) -> Capacity:
        """Return what it has for model servers."""
        names = {one.name for one in fields(Capacity) if one.compare}
        return Capacity(**{name: getattr(self, name) for name in names})
