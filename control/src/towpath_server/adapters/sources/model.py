"""
What the domains see of a source of models, whatever it speaks.

A source is listed once: the listing names exactly what was there. Its files are read afterwards,
each from any offset on, and are what was listed, or the reading fails. What a file's bytes are is
proved by whoever stores them: a digest in a listing is what the source says.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Protocol

MAX_FILES = 10_000
"""Of one model; above the largest published ones, and a bound for what lists without an end."""


@dataclass(frozen=True)
class Access:
    """What a connection gives."""

    endpoint: str | None = None
    """URL of the server, where the URI's scheme does not say it or something else is meant."""
    region: str | None = None
    username: str | None = None
    """An S3 access key's id, or the user of a registry."""
    secret: str | None = field(default=None, repr=False)
    """Its key, token or password, in plain text."""
    ca_pem: str | None = None
    """Certificates that are trusted there beside the system's."""


@dataclass(frozen=True)
class RemoteFile:
    """A file of a model, where it is now."""

    path: str
    """Where it is to be in the model's folder: relative, of plain names."""
    key: str
    """What the source knows it by; nobody else reads it."""
    size: int | None = None
    """In bytes, where the source says it."""
    digest: str | None = None
    """`sha256:…`, where the source says it."""


@dataclass(frozen=True)
class Listing:
    """What a source has under an address, at one moment."""

    pinned: str
    """A URI of exactly this content; of a bucket, whose URIs can name none, the address's own."""
    files: tuple[RemoteFile, ...]
    """Sorted by path; at least one, at most `MAX_FILES`."""
    fingerprint: str
    """`sha256:…`; equal exactly when the source says that the content is the same."""
    card: str | None = None
    """The model's card, as Markdown."""
    licence: str | None = None
    """As SPDX writes it, where SPDX knows it."""


class Source(Protocol):
    """An open source; one address of it."""

    async def listing(self) -> Listing:
        """
        Ask what there is.

        Raises:
            SourceFailed: It is not there, refuses, or what it has is no model.
        """
        ...

    def read(self, file: RemoteFile, offset: int = 0) -> AsyncIterator[bytes]:
        """
        Read a listed file from `offset` on, in pieces of about a MiB.

        What breaks off in between is transient: whoever reads goes on at what came in. It never
        gives more bytes than the listing's size.

        Raises:
            SourceFailed: It broke off, or is not what was listed any more.
        """
        ...
