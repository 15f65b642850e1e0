"""What a node is."""

from dataclasses import dataclass

SILENT_MS = 45_000
"""A node that was not heard of for this long, three heartbeats, counts as gone."""


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

    def alive(self, now_ms: int) -> bool:
        """Tell whether it was heard of lately."""
        return now_ms - self.seen_at_ms < SILENT_MS


@dataclass(frozen=True)
class Machine:
    """What a machine says of itself."""

    name: str
    cores: int
    threads: int
    memory_bytes: int
