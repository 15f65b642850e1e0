"""What is kept of a request's bodies."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Logged:
    """The bodies of one request, as a gateway shipped them: redacted, and perhaps cut."""

    request_id: str
    at_ms: int
    project_id: str
    document: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True)
class Entry:
    """Where the bodies of one request lie."""

    request_id: str
    team_id: str
    project_id: str
    at_ms: int
    digest: str
    size_bytes: int
