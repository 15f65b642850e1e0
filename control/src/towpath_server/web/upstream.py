"""How an upstream is called, as bodies and answers write it, for every noun that declares some."""

import re
import ssl
from typing import Annotated, Any

from pydantic import AfterValidator, Field, StringConstraints

from towpath_server.core import durations
from towpath_server.core.secret import Secret
from towpath_server.core.upstream import Handling, Probe, Queue, Quirk
from towpath_server.web.durations import Wait
from towpath_server.web.schemas import In

# The gateway writes these itself; a second one would say something else than was sent.
OWN_HEADERS = frozenset(
    {
        "authorization",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "cookie",
        "host",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "x-api-key",
    }
)
_HEADER = re.compile(r"[A-Za-z0-9-]{1,100}")
_MAX_HEADERS = 20  # what vendors ask for are one or two
_MAX_PEM = 65_536  # some twenty certificates


def _headers(value: dict[str, str]) -> dict[str, str]:
    for name, text in value.items():
        if not _HEADER.fullmatch(name):
            raise ValueError(f"`{name[:100]}` is not a header's name")
        if name.lower() in OWN_HEADERS:
            raise ValueError(f"`{name}` is the gateway's own; a secret is given as `credential`")
        if not text or not all(32 <= ord(letter) <= 126 for letter in text):
            raise ValueError(f"the value of `{name}` must be printable ASCII")
    return value


def _certificates(value: str) -> str:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=value)
    except (ssl.SSLError, ValueError) as error:
        raise ValueError("holds no certificates in PEM form") from error
    if "PRIVATE KEY" in value:
        raise ValueError("holds a private key; only certificates belong here")
    return value


def sendable(value: Secret | None) -> Secret | None:
    """Refuse a credential that no header can hold."""
    text = value.reveal() if value else ""
    if len(text) > 8_192 or not all(33 <= ord(letter) <= 126 for letter in text):
        raise ValueError("must be printable ASCII without spaces, at most 8192 characters")
    return value


Credential = Annotated[
    Secret,
    Field(description="Sent upstream; sealed, never shown again."),
    AfterValidator(sendable),
]
HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{1,100}$")]
Headers = Annotated[dict[str, str], Field(max_length=_MAX_HEADERS), AfterValidator(_headers)]
Query = Annotated[
    str, StringConstraints(min_length=1, max_length=1_000, pattern=r"^[!$-;=?-Z_a-z~&%]+$")
]
Pem = Annotated[str, StringConstraints(max_length=_MAX_PEM), AfterValidator(_certificates)]
Path = Annotated[str, StringConstraints(pattern=r"^/[!-~]{0,500}$")]


class QueueIn(In):
    """Calls that wait for room at a target whose `max_concurrency` is reached."""

    max_queued: int = Field(
        200, ge=0, le=100_000, description="A few rounds of an engine's largest batch."
    )
    max_wait: Wait = Field("30s", description="What a person bears.")

    def draft(self) -> Queue:
        """Read it."""
        return Queue(self.max_queued, durations.to_ms(self.max_wait))


class ProbeIn(In):
    """A question that the gateway asks regularly, to learn whether a server answers."""

    path: Path = Field(description="From the root of the server.", examples=["/health"])
    interval: Wait = Field("5s", description="A server that recovers is found within this time.")
    timeout: Wait = Field("2s", description="A healthy server answers in milliseconds.")

    def draft(self) -> Probe:
        """Read it."""
        return Probe(self.path, durations.to_ms(self.interval), durations.to_ms(self.timeout))


class HandlingIn(In):
    """How calls to an upstream are made, beside where."""

    max_concurrency: int | None = Field(
        None,
        ge=1,
        le=1_000_000,
        description="Calls that it takes at a time; more wait in its queue. Absent: any number.",
    )
    queue: QueueIn | None = None
    probe: ProbeIn | None = Field(
        None, description="Absent: a server is judged by its answers to calls alone."
    )
    quirks: list[Quirk] | None = Field(
        None,
        max_length=32,
        description="Departures from its dialect, by name; see the guide on providers.",
    )
    query: Query | None = Field(
        None,
        description="Query of every request, without `?`.",
        examples=["api-version=2024-10-21"],
    )
    headers: Headers | None = Field(
        None, description="Headers of every request; none of them is secret."
    )
    ca_pem: Pem | None = Field(
        None, description="Certificates that alone are trusted for it; absent: the system's."
    )

    def handling(self, *, gpus: int | None = None) -> Handling:
        """Read it."""
        return Handling(
            max_concurrency=self.max_concurrency,
            queue=self.queue.draft() if self.queue else Queue(),
            probe=self.probe.draft() if self.probe else None,
            gpus=gpus,
            quirks=tuple(dict.fromkeys(self.quirks or ())),
            query=self.query,
            headers=self.headers or {},
            ca_pem=self.ca_pem,
        )


def handling_changes(body: HandlingIn) -> dict[str, Any]:
    """Return the fields of `Handling` that a body has, read; what a PATCH changes."""
    read = vars(body.handling())
    return {name: read[name] for name in body.model_fields_set & HandlingIn.model_fields.keys()}


def handling_out(handling: Handling) -> dict[str, Any]:
    """Write how an upstream is called: every part under its name, durations as texts."""
    queue, probe = handling.queue, handling.probe
    shown = {
        "max_wait": durations.from_ms(queue.max_wait_ms),
        "max_queued": queue.max_queued,
    }
    return {
        "max_concurrency": handling.max_concurrency,
        "queue": shown if handling.max_concurrency is not None else None,
        "probe": {
            "path": probe.path,
            "interval": durations.from_ms(probe.interval_ms),
            "timeout": durations.from_ms(probe.timeout_ms),
        }
        if probe
        else None,
        "gpus": handling.gpus,
        "quirks": [*handling.quirks],
        "query": handling.query,
        "headers": dict(handling.headers),
        "ca_pem": handling.ca_pem,
    }
