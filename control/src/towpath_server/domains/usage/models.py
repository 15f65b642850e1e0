"""Usage as the ledger holds it: entries, requests, reports."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


class Ended(enum.StrEnum):
    """Why a request ended."""

    COMPLETE = "complete"
    CLIENT_GONE = "client_gone"
    UPSTREAM_CUT = "upstream_cut"
    TIMEOUT = "timeout"
    REFUSED = "refused"
    ERROR = "error"
    GATEWAY_LOST = "gateway_lost"


FAILED = frozenset({Ended.UPSTREAM_CUT, Ended.TIMEOUT, Ended.ERROR, Ended.GATEWAY_LOST})
"""How a request ends that somebody must look into; refusals are counted apart."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A usage record on its way into the ledger: what is searched and summed, and the whole."""

    gateway_id: str
    sequence: int
    id: str
    time_ms: int
    environment: str | None
    team: str | None
    project: str | None
    application: str | None
    key_id: str | None
    operation: str
    endpoint: str | None
    endpoint_id: str | None
    provider: str | None
    model: str | None
    status: int | None
    ended: Ended
    error_code: str | None
    currency: str | None
    input_tokens: int | None
    output_tokens: int | None
    cached_input_tokens: int | None
    cost_nano: int | None
    count: int
    document: str
    """The record as the gateway sent it, in JSON."""
    cache_write_tokens: int | None = None
    reasoning_tokens: int | None = None
    audio_input_tokens: int | None = None
    audio_output_tokens: int | None = None
    gpu_us: int | None = None
    saved_nano: int | None = None
    cache_hit: bool = False
    """Whether the gateway's own cache answered."""


@dataclass(frozen=True)
class Request:
    """One line of the request log, as the gateway recorded it."""

    id: str
    team: str | None
    project: str | None
    application: str | None
    key_id: str | None
    document: Mapping[str, Any]
    names: Mapping[str, str] = field(default_factory=dict)
    """Names of the ids in it, where the things still exist."""


@dataclass(frozen=True)
class Search:
    """Which requests are wanted."""

    project: str | None = None
    endpoint: str | None = None
    key: str | None = None
    environment: str | None = None
    status: int | None = None
    errors: bool = False
    """Only those that did not end well, refusals included."""
    since_ms: int | None = None
    until_ms: int | None = None


@dataclass(frozen=True)
class Whose:
    """Whose usage: what matches every part that is given."""

    keys: tuple[str, ...] | None = None
    """Of any of these."""
    project: str | None = None
    team: str | None = None
    endpoint: str | None = None
    """An id, not a name."""


class Dimension(enum.StrEnum):
    """What a report may be grouped by."""

    TEAM = "team"
    PROJECT = "project"
    APPLICATION = "application"
    KEY = "key"
    ENVIRONMENT = "environment"
    ENDPOINT = "endpoint"
    OPERATION = "operation"
    MODEL = "model"
    PROVIDER = "provider"
    DAY = "day"
    HOUR = "hour"


@dataclass(frozen=True)
class Measures:
    """Sums over requests."""

    requests: int
    errors: int
    refused: int
    uncounted: int
    """Requests that were answered and whose tokens are not known."""
    input_tokens: int
    output_tokens: int
    cached_input_tokens: int
    cost_nano: int
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    audio_input_tokens: int = 0
    audio_output_tokens: int = 0
    gpu_us: int = 0
    cache_hits: int = 0
    """Requests that the gateway's own cache answered."""
    saved_nano: int = 0
    """What tiers saved, against the strongest level of each."""

    @property
    def cached_share(self) -> float | None:
        """Return the part of the input tokens that upstreams read from their caches."""
        return self.cached_input_tokens / self.input_tokens if self.input_tokens else None


@dataclass(frozen=True)
class Line:
    """One line of a report."""

    group: Mapping[Dimension, str | int | None]
    """Ids and names as recorded; start in milliseconds for day and hour."""
    currency: str | None
    measures: Measures
    names: Mapping[str, str] = field(default_factory=dict)
