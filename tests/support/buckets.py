"""What tests need of an S3 server, whichever it is."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

import seaweed
import versity


class BucketServer(Protocol):
    """A server on loopback with one bucket, in a folder of its own."""

    bucket: str
    access_key: str
    secret_key: str

    @property
    def port(self) -> int:
        """Port of its S3 interface."""
        ...

    @property
    def endpoint(self) -> str:
        """Its address."""
        ...

    def start(self) -> None:
        """Start it, or bring it back with the same data on the same port."""
        ...

    def stop(self) -> None:
        """Take it away."""
        ...

    def objects(self, below: str = "") -> dict[str, bytes]:
        """Return all objects as they lie there, whatever S3 shows."""
        ...

    def overwrite(self, name: str, content: bytes) -> None:
        """Change an object behind everybody's back."""
        ...


SERVERS: dict[str, Callable[[], AbstractContextManager[BucketServer]]] = {
    "seaweedfs": seaweed.server,
    "versitygw": versity.server,
}
"""Two programs that have nothing in common but S3."""
