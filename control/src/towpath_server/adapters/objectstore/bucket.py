"""A client of a bucket, and what its refusals mean."""

import re
from datetime import timedelta
from typing import Any

from obstore.store import S3Store as Bucket

from towpath_server.adapters.objectstore.address import BucketAddress
from towpath_server.adapters.objectstore.errors import (
    BucketMissing,
    StorageDenied,
    StorageFailed,
    StorageFull,
    StorageUntrusted,
)

_DENIED = ("accessdenied", "invalidaccesskeyid", "signaturedoesnotmatch", "expiredtoken")
_UNTRUSTED = re.compile(r"InvalidCertificate\(\s*([A-Za-z]+)")
_WHY = {
    "UnknownIssuer": "an authority signed it that is not known here",
    "NotValidForName": "it is for another name",
    "NotValidForNameContext": "it is for another name",
    "Expired": "its time is over",
    "ExpiredContext": "its time is over",
}
_NO_ROOM = ("insufficientstorage", "quotaexceeded", "storagefull", "no space", "507")


def open_bucket(address: BucketAddress, prefix: str = "") -> Bucket:
    """Make a client; nothing is connected yet."""
    given: dict[str, Any] = {
        "endpoint": address.endpoint,
        "region": address.region or "us-east-1",
        "access_key_id": address.access_key_id,
        "secret_access_key": address.secret_access_key,
        "session_token": address.session_token,
        "virtual_hosted_style_request": not address.path_style,
        "skip_signature": address.access_key_id is None or None,
    }
    client: dict[str, Any] = {
        "allow_http": (address.endpoint or "").startswith("http:"),
        "connect_timeout": timedelta(seconds=5),
        "read_timeout": timedelta(seconds=30),
        "timeout": timedelta(minutes=10),
    }
    if address.ca is not None:
        client["root_certificate"] = address.ca.read_bytes()
    retry: Any = {
        "max_retries": address.retries,
        "retry_timeout": timedelta(seconds=address.retry_s),
        "backoff": {
            "init_backoff": timedelta(milliseconds=100),
            "max_backoff": timedelta(seconds=3),
            "base": 2,
        },
    }
    return Bucket(
        address.bucket,
        prefix=prefix or None,
        client_options=client,
        retry_config=retry,
        **{name: value for name, value in given.items() if value is not None},
    )


def told(
    error: Exception, where: str
) -> StorageDenied | StorageUntrusted | BucketMissing | StorageFull | StorageFailed:
    """Say in our words why a bucket did not do what it was asked."""
    cause = f"{type(error).__name__}: {error}"
    plain = cause.lower()
    if "nosuchbucket" in plain:
        return BucketMissing(where, cause=cause)
    denied = type(error).__name__ in {"PermissionDeniedError", "UnauthenticatedError"}
    if denied or any(word in plain for word in _DENIED):
        return StorageDenied(where, cause=cause)
    if untrusted := _UNTRUSTED.search(cause):
        return StorageUntrusted(where, why=_WHY.get(untrusted[1], untrusted[1]), cause=cause)
    if any(word in plain for word in _NO_ROOM):
        return StorageFull(cause=cause, where=where)
    return StorageFailed(cause=cause, where=where)
