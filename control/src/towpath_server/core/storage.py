"""Settings of where bytes lie."""

import ipaddress
import ssl
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

from towpath_server.core.secret import Secret

_BUCKET_URL = r"^s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9!_.*'()/-]*)?$"


class BucketSettings(BaseModel):
    """How an S3-compatible server is spoken to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    endpoint: str | None = Field(
        None,
        pattern=r"^https?://[^/?#@]+/?$",
        description="Address of the S3-compatible server; default: Amazon's, by region. Plain "
        "`http:` is for this machine alone, unless `insecure` is set.",
    )
    region: str | None = Field(None, max_length=64, description="Its region.")
    access_key_id: Secret | None = Field(None, description="Its access key; default: anonymous.")
    secret_access_key: Secret | None = Field(None, description="The secret of that key.")
    session_token: Secret | None = Field(None, description="Token of a key that ends by itself.")
    path_style: bool = Field(
        default=True,
        description="Name the bucket in the path, as most servers other than Amazon's want it.",
    )
    ca: Path | None = Field(
        None, description="Certificates (PEM) that are trusted there beside the system's."
    )
    insecure: bool = Field(
        default=False,
        validate_default=True,
        description="Speak plain `http:` across the network, in the clear.",
    )

    @field_validator("ca")
    @classmethod
    def _certificates(cls, value: Path | None) -> Path | None:
        if value is None:
            return None
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=value)
        except ssl.SSLError as error:
            raise ValueError(f"`{value}` holds no certificates in PEM form") from error
        except OSError as error:
            raise ValueError(f"`{value}` cannot be read: {error.strerror}") from error
        return value

    @field_validator("insecure")
    @classmethod
    def _in_the_clear(cls, value: bool, info: Any) -> bool:  # noqa: FBT001 (pydantic's)
        endpoint = info.data.get("endpoint")
        if endpoint and endpoint.startswith("http:") and not value and not _here(endpoint):
            raise ValueError("the endpoint is plain `http:` on another machine; use `https:`")
        return value


class ArtifactSettings(BucketSettings):
    """Where models, callers' files and logged bodies lie."""

    url: str | None = Field(
        None,
        pattern=_BUCKET_URL,
        description="`s3://bucket/prefix`: keep models, callers' files and logged bodies there; "
        "default: in the data folder.",
    )
    cache_bytes: int | None = Field(
        None,
        ge=2**20,
        description="How much of a bucket's models this machine keeps for its model servers; what "
        "was not used for the longest makes room. Default: half of the disk that they are on.",
    )
    grace_s: int = Field(
        24 * 3600,
        ge=60,
        le=90 * 24 * 3600,
        description="How long bytes that nothing needs stay, and uploads that nobody goes on with.",
    )


def _here(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
