"""Where a bucket is, and how it is spoken to."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class BucketAddress:
    """Where a bucket is, and how it is spoken to."""

    bucket: str
    endpoint: str | None = None
    region: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = None
    session_token: str | None = None
    path_style: bool = True
    ca: Path | None = None
    retries: int = 4
    retry_s: float = 20.0
    """How long a call is tried again before whoever waits for it hears of it."""
