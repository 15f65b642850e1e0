"""What a team is."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Team:
    """Owner of projects."""

    id: str
    revision: int
    created_at_ms: int
    updated_at_ms: int
    name: str
    weight: int = 1
    """Its share where teams wait for the same target, relative to other teams'."""
