"""One thing that a receiver outside must be told."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Notice:
    """A message, and how often it was tried."""

    id: str
    at_ms: int
    body: str
    """JSON, as it is sent."""
    attempts: int
    next_at_ms: int
