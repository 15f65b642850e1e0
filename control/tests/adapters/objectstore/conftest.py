"""Both stores, each on something real."""

import secrets
from collections.abc import Callable
from pathlib import Path

import pytest
import seaweed

from towpath_server.adapters.objectstore.opening import open_store
from towpath_server.adapters.objectstore.store import ArtifactStore
from towpath_server.core.secret import Secret
from towpath_server.core.storage import ArtifactSettings

MIB = 1 << 20
MAX_FILE_BYTES = 64 * MIB

Open = Callable[..., ArtifactStore]


def settings_for(server: seaweed.Seaweed, prefix: str, **more: object) -> ArtifactSettings:
    """Settings of a store in the server's bucket."""
    given = {
        "url": f"s3://{server.bucket}/{prefix}/below",
        "endpoint": server.endpoint,
        "access_key_id": Secret(server.access_key),
        "secret_access_key": Secret(server.secret_key),
        **more,
    }
    return ArtifactSettings.model_validate(given)


@pytest.fixture
def prefix() -> str:
    """Tests share a bucket, since each takes volumes of the server; none sees another's."""
    return secrets.token_hex(6)


@pytest.fixture
def in_bucket(bucket_server: seaweed.Seaweed, prefix: str, tmp_path: Path) -> Open:
    """Open a store in this test's bucket, with other settings where some are given."""

    def opened(**more: object) -> ArtifactStore:
        folder = tmp_path / str(more.pop("folder", "artifacts"))
        settings = settings_for(bucket_server, prefix, **more)
        store = open_store(settings, folder, max_file_bytes=MAX_FILE_BYTES)
        store.prepare()
        return store

    return opened


@pytest.fixture(params=["folder", "s3"])
def either(request: pytest.FixtureRequest, tmp_path: Path) -> ArtifactStore:
    """A test that names it runs on both stores."""
    if request.param == "s3":
        return request.getfixturevalue("in_bucket")()
    store = open_store(ArtifactSettings(), tmp_path / "artifacts", max_file_bytes=MAX_FILE_BYTES)
    store.prepare()
    return store
