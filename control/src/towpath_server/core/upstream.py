"""How an upstream is called: what providers, static servers and deployments declare."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Quirk = Literal[
    "max_completion_tokens",
    "max_tokens",
    "drop_stream_options",
    "drop_bookkeeping",
    "system_as_developer",
    "developer_as_system",
    "random_seed",
    "tool_choice_any",
    "cache_salt",
    "count_tokens",
    "responses",
    "json_schema_by_tool",
    "continue_final_message",
    "assistant_prefill",
]
"""Departures from a dialect, as `gateway/crates/wire` names them; a test compares both."""

GOING_ON: frozenset[Quirk] = frozenset({"continue_final_message", "assistant_prefill"})
"""Of a server that goes on with an answer which another one began."""


@dataclass(frozen=True)
class Queue:
    """
    Calls that wait for room at a target.

    Length: a few rounds of an engine's largest batch. Wait: what a person bears.
    """

    max_queued: int = 200
    max_wait_ms: int = 30_000


@dataclass(frozen=True)
class Probe:
    """A question that the gateway asks regularly, to learn whether a server answers."""

    path: str
    interval_ms: int = 5_000
    timeout_ms: int = 2_000


@dataclass(frozen=True)
class ColdStart:
    """How calls wait for a target that is asleep; times in milliseconds."""

    max_wait_ms: int = 60_000
    max_queued: int = 200
    progress_after_ms: int = 10_000
    """When a waiting stream gets its head and comment lines; 0: never."""
    estimate_ms: int | None = None
    """How long waking it probably takes."""

    def document(self) -> dict[str, int]:
        """Return it as the routing table writes it."""
        return {name: value for name, value in vars(self).items() if value is not None}


@dataclass(frozen=True)
class Handling:
    """How calls to an upstream are made; the fields are those of the routing table's target."""

    max_concurrency: int | None = None
    """Calls that one replica takes at a time; none: any number."""
    queue: Queue = field(default_factory=Queue)
    probe: Probe | None = None
    gpus: int | None = None
    """GPUs of one replica, for prices per GPU-second."""
    quirks: tuple[str, ...] = ()
    query: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    ca_pem: str | None = None
    cold_start: ColdStart | None = None
    """How calls wait while it has no replica; none: they do not. It is not stored."""

    def document(self) -> dict[str, Any]:
        """Return what differs from the defaults, as the routing table and the store write it."""
        queue = {} if self.queue == Queue() else {"queue": vars(self.queue)}
        probe = {"probe": vars(self.probe)} if self.probe else {}
        sleep = {"cold_start": self.cold_start.document()} if self.cold_start else {}
        plain = {
            "max_concurrency": self.max_concurrency,
            "gpus": self.gpus,
            "quirks": [*self.quirks],
            "query": self.query,
            "headers": dict(self.headers),
            "ca_pem": self.ca_pem,
        }
        return {
            **{name: value for name, value in plain.items() if value},
            **queue,
            **probe,
            **sleep,
        }

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Handling":
        """Read what `document` wrote."""
        fields = dict(document)
        if "queue" in fields:
            fields["queue"] = Queue(**fields["queue"])
        if "probe" in fields:
            fields["probe"] = Probe(**fields["probe"])
        fields["quirks"] = tuple(fields.get("quirks", ()))
        return cls(**fields)
