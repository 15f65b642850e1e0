"""Every store, each on something real: a folder, and two S3 servers."""

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import certificates
import pytest
import trustme
import versity
from buckets import SERVERS, BucketServer

from towpath_server.adapters.objectstore.opening import open_store
from towpath_server.adapters.objectstore.store import ArtifactStore
from towpath_server.core.secret import Secret
from towpath_server.core.storage import ArtifactSettings

MIB = 1 << 20
MAX_FILE_BYTES = 64 * MIB

Open = Callable[..., ArtifactStore]


def settings_for(server: BucketServer, prefix: str, **more: object) -> ArtifactSettings:
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


def opening(server: BucketServer, prefix: str, tmp_path: Path) -> Open:
    """Open stores in a test's bucket, with other settings where some are given."""

    def opened(**more: object) -> ArtifactStore:
        folder = tmp_path / str(more.pop("folder", "artifacts"))
        settings = settings_for(server, prefix, **more)
        store = open_store(settings, folder, max_file_bytes=MAX_FILE_BYTES)
        store.prepare()
        return store

    return opened


@pytest.fixture
def in_bucket(bucket_server: BucketServer, prefix: str, tmp_path: Path) -> Open:
    """Open a store in this test's bucket, with other settings where some are given."""
    return opening(bucket_server, prefix, tmp_path)


@pytest.fixture
def own_server() -> Iterator[BucketServer]:
    """A server that a test may take away: the one that is back within a second."""
    with versity.server() as server:
        yield server


@pytest.fixture
def in_own(own_server: BucketServer, prefix: str, tmp_path: Path) -> Open:
    """Open a store in the bucket of this test's own server."""
    return opening(own_server, prefix, tmp_path)


@pytest.fixture
def tls_server(tmp_path: Path) -> Iterator[BucketServer]:
    """A server whose certificate is for `localhost`, by the authority in `authority.pem`."""
    files = certificates.write(tmp_path, trustme.CA(), "localhost")
    with versity.server(files) as server:
        yield server


@pytest.fixture
def behind_tls(tls_server: BucketServer, prefix: str, tmp_path: Path) -> Open:
    """Open a store in the bucket of that server."""
    return opening(tls_server, prefix, tmp_path)


@pytest.fixture(params=["folder", *SERVERS])
def anew(
    request: pytest.FixtureRequest, prefix: str, tmp_path: Path
) -> Callable[[], ArtifactStore]:
    """Open one and the same store, again and again, as programs would that use it in turn."""
    if request.param != "folder":
        server = request.getfixturevalue(request.param)
        machines = iter(range(100))
        opened = opening(server, prefix, tmp_path)
        return lambda: opened(folder=f"{next(machines)}/artifacts")

    def in_folder() -> ArtifactStore:
        store = open_store(
            ArtifactSettings(), tmp_path / "artifacts", max_file_bytes=MAX_FILE_BYTES
        )
        store.prepare()
        return store

    return in_folder


@pytest.fixture
def either(anew: Callable[[], ArtifactStore]) -> ArtifactStore:
    """A test that names it runs on every store."""
    return anew()
