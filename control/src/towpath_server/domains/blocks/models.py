"""Blocks."""

import enum
from dataclasses import dataclass


class What(enum.StrEnum):
    """What can be blocked."""

    ENDPOINT = "endpoint"
    KEY = "key"
    PROVIDER = "provider"
    MODEL = "model"


@dataclass(frozen=True)
class BlockDraft:
    """What to block, in the caller's words."""

    what: What
    ref: str
    environment: str | None = None
    """Of the endpoint, where its name alone is not enough."""
    reason: str | None = None


@dataclass(frozen=True)
class Block:
    """Something that is stopped, whatever else is declared."""

    id: str
    revision: int
    created_at_ms: int
    updated_at_ms: int
    what: What
    ref: str
    """Id of an endpoint or key, name of a provider or model."""
    name: str
    """What it was called when it was blocked."""
    reason: str | None
