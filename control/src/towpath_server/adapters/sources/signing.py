"""
Signatures of requests to S3 (AWS Signature Version 4), for reading alone.

https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import quote, urlsplit

_ALGORITHM = "AWS4-HMAC-SHA256"
_NO_BODY = hashlib.sha256(b"").hexdigest()


@dataclass(frozen=True)
class AccessKey:
    """Who asks, and in which region."""

    id: str
    secret: str = field(repr=False)
    region: str


def signed(
    key: AccessKey, url: str, query: Mapping[str, str], headers: Mapping[str, str], at: datetime
) -> Mapping[str, str]:
    """
    Return the headers of a signed `GET`, all of those given among them.

    Args:
        url: Without a query, and with its path encoded as it is sent.
        headers: Every header that is signed, by names in lower case; `host` is added.
        at: In UTC.
    """
    parts = urlsplit(url)
    stamp = at.strftime("%Y%m%dT%H%M%SZ")
    scope = f"{stamp[:8]}/{key.region}/s3/aws4_request"
    sent = {
        **headers,
        "host": parts.netloc,
        "x-amz-content-sha256": _NO_BODY,
        "x-amz-date": stamp,
    }
    names = ";".join(sorted(sent))
    lines = "".join(f"{name}:{sent[name].strip()}\n" for name in sorted(sent))
    request = "\n".join(("GET", parts.path or "/", encoded(query), lines, names, _NO_BODY))
    hashed = hashlib.sha256(request.encode()).hexdigest()
    signing = f"AWS4{key.secret}".encode()
    for part in scope.split("/"):
        signing = hmac.digest(signing, part.encode(), "sha256")
    told = f"{_ALGORITHM}\n{stamp}\n{scope}\n{hashed}"
    signature = hmac.digest(signing, told.encode(), "sha256").hex()
    who = f"Credential={key.id}/{scope},SignedHeaders={names},Signature={signature}"
    return {**sent, "authorization": f"{_ALGORITHM} {who}"}


def encoded(query: Mapping[str, str]) -> str:
    """Write a query as it is signed, and as it must be sent."""
    pairs = sorted((quote(name, safe=""), quote(value, safe="")) for name, value in query.items())
    return "&".join(f"{name}={value}" for name, value in pairs)
