"""
From the settings to the stores.

What speaks S3 is loaded only where a bucket is used: it would cost every start a quarter of a
second.
"""

import importlib
import shutil
from pathlib import Path

from towpath_server.adapters.objectstore.address import BucketAddress
from towpath_server.adapters.objectstore.cache import Cache
from towpath_server.adapters.objectstore.folder import FolderStore
from towpath_server.adapters.objectstore.store import MAX_FILE_BYTES, ArtifactStore
from towpath_server.core.secret import Secret
from towpath_server.core.storage import ArtifactSettings, BucketSettings


def open_store(
    settings: ArtifactSettings, folder: Path, *, max_file_bytes: int = MAX_FILE_BYTES
) -> ArtifactStore:
    """
    Make the store that the settings choose; nothing is connected yet.

    Args:
        folder: Where its bytes, or its cache, lie; its name tells the store from others that share
            the bucket.
    """
    local = FolderStore(folder, max_file_bytes=max_file_bytes)
    if settings.url is None:
        return local
    bucket, _, prefix = settings.url.removeprefix("s3://").partition("/")
    below = "/".join(part for part in (prefix.strip("/"), folder.name) if part)
    cache = Cache(local, max_bytes=settings.cache_bytes or _half_of_the_disk(folder))
    s3 = importlib.import_module("towpath_server.adapters.objectstore.s3")
    return s3.S3Store(address_of(settings, bucket), below, cache, max_file_bytes=max_file_bytes)


def _half_of_the_disk(folder: Path) -> int:
    there = next(one for one in (folder, *folder.absolute().parents) if one.exists())
    return shutil.disk_usage(there).total // 2


def address_of(settings: BucketSettings, bucket: str) -> BucketAddress:
    """Say how a bucket is reached."""
    return BucketAddress(
        bucket=bucket,
        endpoint=settings.endpoint.rstrip("/") if settings.endpoint else None,
        region=settings.region,
        access_key_id=_open(settings.access_key_id),
        secret_access_key=_open(settings.secret_access_key),
        session_token=_open(settings.session_token),
        path_style=settings.path_style,
        ca=settings.ca,
    )


def _open(secret: Secret | None) -> str | None:
    return None if secret is None else secret.reveal()
