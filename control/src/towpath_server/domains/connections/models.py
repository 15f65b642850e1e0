"""What a connection is, and which of several serves an address."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Connection:
    """How models below a location are reached, and as whom."""

    id: str
    revision: int
    created_at_ms: int
    updated_at_ms: int
    name: str
    team_id: str | None
    """None: the organisation's."""
    location: str
    """The beginning of the addresses that it is for, by whole parts: `s3://bucket/team-a/`."""
    endpoint: str | None
    region: str | None
    username: str | None
    credential_id: str | None
    ca_pem: str | None
    team: str | None = None
    """Name of the team."""


@dataclass(frozen=True)
class ConnectionDraft:
    """A connection as it is declared, without its credential."""

    name: str
    location: str
    team: str | None = None
    endpoint: str | None = None
    region: str | None = None
    username: str | None = None
    ca_pem: str | None = None


@dataclass(frozen=True)
class Found:
    """A connection, and its credential as it is sealed."""

    connection: Connection
    sealed: str | None


def parts(uri: str) -> tuple[str, ...]:
    """
    Cut an address into scheme and path, without what says which version is meant.

    A tag and a revision begin at a colon, of which only a registry's port has another.
    """
    scheme, _, rest = uri.partition("://")
    if scheme == "hf":
        rest = rest.partition(":")[0]
    elif scheme == "oci":
        host, slash, path = rest.partition("@")[0].partition("/")
        rest = host + slash + path.partition(":")[0]
    elif scheme == "https":
        rest = rest.partition("#")[0]
    return scheme, *[part for part in rest.split("/") if part]


def covers(location: str, uri: str) -> bool:
    """Tell whether an address lies below a location."""
    above, below = parts(location), parts(uri)
    return below[: len(above)] == above


def closest(found: Iterable[Found], uri: str) -> Found | None:
    """Return the one with the longest location that covers an address; on a tie a team's own."""
    fitting = [one for one in found if covers(one.connection.location, uri)]
    return max(
        fitting,
        key=lambda one: (len(parts(one.connection.location)), one.connection.team_id is not None),
        default=None,
    )
