"""Connections on the wire."""

import re
from typing import Annotated, Any

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from towpath_server.core.sources import SCHEMES
from towpath_server.domains.connections.models import Connection, ConnectionDraft, parts
from towpath_server.web.schemas import In, Name, Ref, Resource, at
from towpath_server.web.upstream import Credential, Pem

_PLAIN = re.compile(r"[A-Za-z0-9._:~!$'()*+,=-]+")


def _location(text: str) -> str:
    scheme, separator, rest = text.partition("://")
    if not separator or scheme not in SCHEMES:
        listed = ", ".join(f"`{one}://`" for one in SCHEMES)
        raise ValueError(f"must begin with one of {listed}")
    named = [part for part in rest.split("/") if part]
    if not all(_PLAIN.fullmatch(part) and part not in {".", ".."} for part in named):
        raise ValueError("must be a path of plain names, without user, version or digest")
    if scheme != "hf" and not named:
        raise ValueError("must name the bucket, registry or host that it is for")
    if parts(text)[1:] != tuple(named):
        raise ValueError("must not name a version: it is for all of them")
    if scheme in {"oci", "https"}:
        named[0] = named[0].lower()
    return f"{scheme}://{''.join(f'{part}/' for part in named)}"


Location = Annotated[
    str,
    StringConstraints(max_length=500),
    AfterValidator(_location),
    Field(
        description="The beginning of the addresses that it is for, by whole parts: `hf://`, "
        "`hf://acme/`, `s3://bucket/team-a/`, `oci://ghcr.io/acme/`, "
        "`https://files.example.com/models/`.",
        examples=["s3://models/care/"],
    ),
]
Endpoint = Annotated[
    str,
    StringConstraints(max_length=2_000, pattern=r"^https?://[^/?#@\s]+(/[^?#@\s]*)?$"),
    Field(
        description="Where the server is, such as of S3 or a mirror of the Hub; absent: the public "
        "one."
    ),
]
Region = Annotated[str, StringConstraints(min_length=1, max_length=63, pattern=r"^[a-z0-9-]+$")]
Username = Annotated[
    str,
    StringConstraints(min_length=1, max_length=200, pattern=r"^[!-9;-~]+$"),
    Field(description="The access key's id for S3, the user of a registry."),
]


class _Fields(In):
    endpoint: Endpoint | None = None
    region: Region | None = Field(None, description="Of S3.")
    username: Username | None = None
    credential: Credential | None = Field(
        None, description="Secret key, password or token; sealed, never shown again."
    )
    ca_pem: Pem | None = Field(
        None, description="Certificates that are trusted there beside the system's."
    )


class ConnectionCreate(_Fields):
    """A new connection."""

    name: Name
    location: Location
    team: Ref | None = Field(
        None, description="Whose it is. Absent: the organisation's, for every team."
    )

    def draft(self) -> ConnectionDraft:
        """Read it, without its credential."""
        return ConnectionDraft(
            name=self.name,
            location=self.location,
            team=self.team,
            endpoint=self.endpoint,
            region=self.region,
            username=self.username,
            ca_pem=self.ca_pem,
        )


class ConnectionUpdate(_Fields):
    """What may change; what is absent stays, null takes it away. A credential is replaced."""

    location: Location | None = None

    @model_validator(mode="after")
    def _kept(self) -> "ConnectionUpdate":
        if "location" in self.model_fields_set and self.location is None:
            raise ValueError("`location` cannot be removed")
        return self

    def changes(self) -> dict[str, Any]:
        """Return what was sent."""
        return {name: getattr(self, name) for name in self.model_fields_set}


class ConnectionOut(Resource):
    """How models below a location are reached; its credential stays inside."""

    name: str
    team: str | None = Field(description="Null: the organisation's.")
    location: str
    endpoint: str | None
    region: str | None
    username: str | None
    has_credential: bool
    ca_pem: str | None

    @classmethod
    def of(cls, connection: Connection) -> "ConnectionOut":
        """Write a connection."""
        return cls(
            id=connection.id,
            revision=connection.revision,
            created_at=at(connection.created_at_ms),
            updated_at=at(connection.updated_at_ms),
            name=connection.name,
            team=connection.team,
            location=connection.location,
            endpoint=connection.endpoint,
            region=connection.region,
            username=connection.username,
            has_credential=connection.credential_id is not None,
            ca_pem=connection.ca_pem,
        )
